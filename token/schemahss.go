package token

import "github.com/onceleaf/onceleaf/internal/ck"

// The tables of HSS keys (PKCS#11 3.2 section 6.65) and of the transfer keys of this token. What such a key cannot do
// is fixed to FALSE, unlike for other keys: a template that asks for it is refused.

// Of every such key. None derives.
var hssKeyBase = storage.with(schema{
	ck.CKA_ID:                      {value: empty, set: settable},
	ck.CKA_START_DATE:              {value: empty, set: settable},
	ck.CKA_END_DATE:                {value: empty, set: settable},
	ck.CKA_DERIVE:                  {in: always(fixed), value: no},
	ck.CKA_LOCAL:                   {in: always(own)},
	ck.CKA_KEY_GEN_MECHANISM:       {in: always(own)},
	ck.CKA_ALLOWED_MECHANISMS:      {value: empty},
	ck.CKA_DERIVE_TEMPLATE:         {in: always(fixed), value: empty},
	ck.CKA_OBJECT_VALIDATION_FLAGS: {in: always(own), value: Ulong(uint64(0))},
	ck.CKA_SUBJECT:                 {value: empty, set: settable},
	ck.CKA_PUBLIC_KEY_INFO:         {in: always(own)},
})

// Of every such public key.
var hssPublicBase = hssKeyBase.with(schema{
	ck.CKA_CLASS:          {in: inputs{required, fixed, fixed, fixed}, value: Ulong(ck.CKO_PUBLIC_KEY)},
	ck.CKA_ENCRYPT:        {in: always(fixed), value: no},
	ck.CKA_VERIFY:         {in: always(fixed), value: no},
	ck.CKA_VERIFY_RECOVER: {in: always(fixed), value: no},
	ck.CKA_WRAP:           {in: always(fixed), value: no},
	ck.CKA_ENCAPSULATE:    {in: always(fixed), value: no},
	ck.CKA_TRUSTED:        {in: always(fixed), value: no},
	ck.CKA_WRAP_TEMPLATE:  {in: always(fixed), value: empty},
})

// Of every such private key. None leaves the token: sensitive, not extractable and not copyable, whatever the template
// leaves out, and a template that says otherwise is refused.
//
// CKA_COPYABLE is the one that clients set to TRUE without thinking, in the default template of all their private
// keys. It is refused all the same, with CKR_TEMPLATE_INCONSISTENT: PKCS#11 3.2 section 6.65 demands FALSE of an HSS
// key, and an object that said TRUE would promise a copy of state that may exist only once.
var hssPrivateBase = hssKeyBase.with(schema{
	ck.CKA_CLASS:               {in: inputs{required, fixed, fixed, fixed}, value: Ulong(ck.CKO_PRIVATE_KEY)},
	ck.CKA_PRIVATE:             {value: yes},
	ck.CKA_COPYABLE:            {in: always(fixed), value: no},
	ck.CKA_SENSITIVE:           {in: always(fixed), value: yes},
	ck.CKA_EXTRACTABLE:         {in: always(fixed), value: no},
	ck.CKA_ALWAYS_SENSITIVE:    {in: always(own)},
	ck.CKA_NEVER_EXTRACTABLE:   {in: always(own)},
	ck.CKA_DECRYPT:             {in: always(fixed), value: no},
	ck.CKA_SIGN:                {in: always(fixed), value: no},
	ck.CKA_SIGN_RECOVER:        {in: always(fixed), value: no},
	ck.CKA_UNWRAP:              {in: always(fixed), value: no},
	ck.CKA_DECAPSULATE:         {in: always(fixed), value: no},
	ck.CKA_WRAP_WITH_TRUSTED:   {in: always(fixed), value: no},
	ck.CKA_ALWAYS_AUTHENTICATE: {in: always(fixed), value: no},
	ck.CKA_UNWRAP_TEMPLATE:     {in: always(fixed), value: empty},
	ck.CKA_VALUE:               {in: always(foreign), hidden: true},
})

// An HSS public key (section 6.65.2). C_GenerateKeyPair has the levels in the private template alone; to C_CreateObject
// the value says all.
var hssPublic = hssPublicBase.with(schema{
	ck.CKA_KEY_TYPE:        {in: inputs{required, fixed, fixed, fixed}, value: Ulong(ck.CKK_HSS)},
	ck.CKA_VERIFY:          {value: yes, set: settable},
	ck.CKA_VALUE:           {in: inputs{required, foreign, foreign, foreign}},
	ck.CKA_PUBLIC_KEY_INFO: {in: inputs{optional, own, own, own}},
	ck.CKA_HSS_LEVELS:      {in: always(foreign)},
	ck.CKA_HSS_LMS_TYPE:    {in: always(foreign)},
	ck.CKA_HSS_LMOTS_TYPE:  {in: always(foreign)},
})

// An HSS private key (section 6.65.3). C_UnwrapKey takes it out of a capsule, which says what the key is, but brings
// neither label nor id: they are the destination's to choose. A received key is always a token object.
var hssPrivate = hssPrivateBase.with(schema{
	ck.CKA_TOKEN:                 {in: inputs{unwrap: fixed}, value: no, other: map[call][]byte{unwrap: yes}},
	ck.CKA_KEY_TYPE:              {in: inputs{required, fixed, fixed, fixed}, value: Ulong(ck.CKK_HSS)},
	ck.CKA_SIGN:                  {value: yes, set: settable},
	ck.CKA_HSS_LEVELS:            {in: inputs{required, required, foreign, foreign}},
	ck.CKA_HSS_LMS_TYPES:         {in: inputs{required, required, foreign, foreign}},
	ck.CKA_HSS_LMOTS_TYPES:       {in: inputs{required, required, foreign, foreign}},
	ck.CKA_HSS_KEYS_REMAINING:    {in: always(foreign)},
	ck.CKA_ONCELEAF_TRANSFERABLE: {in: inputs{unwrap: fixed}, value: no, other: map[call][]byte{unwrap: yes}},
	ck.CKA_ONCELEAF_RECEIPT:      {in: always(own)},
	ck.CKA_ONCELEAF_STATE:        {in: always(own)},
	ck.CKA_ONCELEAF_RESERVE:      {},
	ck.CKA_ONCELEAF_WARN_BELOW:   {value: Ulong(defaultWarnBelow), set: settable, most: 100},
	ck.CKA_ONCELEAF_LOW:          {in: always(own)},
})

// A transfer request: at the destination the public half of a transfer key, which outlives the session unless the
// template says otherwise (the request travels, the answer takes days), at the source an object from C_CreateObject.
var transferPublic = hssPublicBase.with(schema{
	ck.CKA_TOKEN:                {value: yes, other: map[call][]byte{create: no}},
	ck.CKA_KEY_TYPE:             {in: inputs{required, fixed, fixed, fixed}, value: Ulong(ck.CKK_ONCELEAF_TRANSFER)},
	ck.CKA_WRAP:                 {value: yes, set: settable},
	ck.CKA_PUBLIC_KEY_INFO:      {in: always(own), value: empty}, // no such key has a SubjectPublicKeyInfo
	ck.CKA_VALUE:                {in: inputs{required, foreign, foreign, foreign}},
	ck.CKA_ONCELEAF_FINGERPRINT: {in: always(own)},
})

// The secret half of a transfer key. It is always private: it is sealed under the master key.
var transferPrivate = hssPrivateBase.with(schema{
	ck.CKA_TOKEN:                {value: yes},
	ck.CKA_PRIVATE:              {in: always(fixed), value: yes},
	ck.CKA_KEY_TYPE:             {in: inputs{required, fixed, fixed, fixed}, value: Ulong(ck.CKK_ONCELEAF_TRANSFER)},
	ck.CKA_UNWRAP:               {value: yes, set: settable},
	ck.CKA_PUBLIC_KEY_INFO:      {in: always(own), value: empty},
	ck.CKA_ONCELEAF_FINGERPRINT: {in: always(own)},
})
