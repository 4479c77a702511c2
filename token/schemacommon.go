package token

import "github.com/onceleaf/onceleaf/internal/ck"

// What attributes are common to objects, and those of the objects that are no keys.

// Entries that many attributes share.
var (
	given     = inputs{required, own, own, own} // the value of a key: footnotes 1, 4 and 6
	asked     = inputs{own, required, own, own} // of what is generated: footnotes 2 and 3
	named     = inputs{required, fixed, fixed, fixed}
	supported = inputs{optional, own, own, own} // follows from the value, and is held to it
)

// The attributes of every object (sections 4.4 and 4.7): CKA_TOKEN is FALSE and CKA_MODIFIABLE TRUE by default, as the
// standard has it.
var storage = schema{
	ck.CKA_TOKEN:       {value: no, set: inCopy},
	ck.CKA_PRIVATE:     {value: no, set: inCopy},
	ck.CKA_MODIFIABLE:  {value: yes, set: inCopy},
	ck.CKA_COPYABLE:    {value: yes, set: lowerIn},
	ck.CKA_DESTROYABLE: {value: yes, set: inCopy},
	ck.CKA_LABEL:       {value: empty, set: settable},
	ck.CKA_UNIQUE_ID:   {in: always(own)},
}

// Data (section 4.5). A private one unless the template says otherwise. CKM_HKDF_DATA derives them.
var data = storage.with(schema{
	ck.CKA_CLASS:       {in: named, value: Ulong(ck.CKO_DATA)},
	ck.CKA_PRIVATE:     {value: yes, set: inCopy},
	ck.CKA_APPLICATION: {value: empty, set: settable},
	ck.CKA_OBJECT_ID:   {value: empty, set: settable},
	ck.CKA_VALUE:       {in: inputs{derive: own}, value: empty, set: settable},
})

// An X.509 certificate (section 4.6.3). Its text is not looked into, but for what can be learnt from it.
var certificate = storage.with(schema{
	ck.CKA_CLASS:                      {in: named, value: Ulong(ck.CKO_CERTIFICATE)},
	ck.CKA_CERTIFICATE_TYPE:           {in: named, value: Ulong(ck.CKC_X_509)},
	ck.CKA_TRUSTED:                    {value: no, set: settable, officer: true},
	ck.CKA_CERTIFICATE_CATEGORY:       {value: Ulong(uint64(0)), most: 3},
	ck.CKA_CHECK_VALUE:                {},
	ck.CKA_START_DATE:                 {value: empty},
	ck.CKA_END_DATE:                   {value: empty},
	ck.CKA_PUBLIC_KEY_INFO:            {},
	ck.CKA_SUBJECT:                    {in: inputs{create: required}},
	ck.CKA_ID:                         {value: empty, set: settable},
	ck.CKA_ISSUER:                     {value: empty, set: settable},
	ck.CKA_SERIAL_NUMBER:              {value: empty, set: settable},
	ck.CKA_VALUE:                      {value: empty},
	ck.CKA_URL:                        {value: empty},
	ck.CKA_HASH_OF_SUBJECT_PUBLIC_KEY: {value: empty},
	ck.CKA_HASH_OF_ISSUER_PUBLIC_KEY:  {value: empty},
	ck.CKA_JAVA_MIDP_SECURITY_DOMAIN:  {value: Ulong(uint64(0)), most: 3},
	ck.CKA_NAME_HASH_ALGORITHM:        {value: Ulong(ck.CKM_SHA_1)},
})

// A profile (section 4.13): the token has them, and nobody makes one.
var profile = schema{
	ck.CKA_CLASS:       {in: always(fixed), value: Ulong(ck.CKO_PROFILE)},
	ck.CKA_TOKEN:       {in: always(own), value: yes},
	ck.CKA_PRIVATE:     {in: always(own), value: no},
	ck.CKA_MODIFIABLE:  {in: always(own), value: no},
	ck.CKA_COPYABLE:    {in: always(own), value: no},
	ck.CKA_DESTROYABLE: {in: always(own), value: no},
	ck.CKA_LABEL:       {in: always(own), value: empty},
	ck.CKA_UNIQUE_ID:   {in: always(own)},
	ck.CKA_PROFILE_ID:  {in: always(own)},
}

// Of every key (section 4.7).
var anyKey = storage.with(schema{
	ck.CKA_ID:                      {value: empty, set: settable},
	ck.CKA_START_DATE:              {value: empty, set: settable},
	ck.CKA_END_DATE:                {value: empty, set: settable},
	ck.CKA_DERIVE:                  {value: no, set: settable},
	ck.CKA_LOCAL:                   {in: always(own)},
	ck.CKA_KEY_GEN_MECHANISM:       {in: always(own)},
	ck.CKA_ALLOWED_MECHANISMS:      {value: empty},
	ck.CKA_OBJECT_VALIDATION_FLAGS: {in: always(own), value: Ulong(uint64(0))},
})

// Of every public key (section 4.8). The standard leaves the defaults of rights to the token: a key may do what its
// type can (see the tables of the types).
var anyPublicKey = anyKey.with(schema{
	ck.CKA_CLASS:                {in: named, value: Ulong(ck.CKO_PUBLIC_KEY)},
	ck.CKA_SUBJECT:              {value: empty, set: settable},
	ck.CKA_ENCRYPT:              {value: no, set: settable, role: true},
	ck.CKA_VERIFY:               {value: no, set: settable},
	ck.CKA_VERIFY_RECOVER:       {value: no, set: settable},
	ck.CKA_WRAP:                 {value: no, set: settable, role: true},
	ck.CKA_ENCAPSULATE:          {value: no, set: settable},
	ck.CKA_TRUSTED:              {value: no, set: settable, officer: true},
	ck.CKA_WRAP_TEMPLATE:        {value: empty},
	ck.CKA_DERIVE_TEMPLATE:      {value: empty},
	ck.CKA_ENCAPSULATE_TEMPLATE: {value: empty},
	ck.CKA_PUBLIC_KEY_INFO:      {in: supported},
})

// guarded are the attributes that private and secret keys share: who gets to see the value. What a key does with
// ciphertexts stays as it was made: see policy.go.
var guarded = schema{
	ck.CKA_PRIVATE:           {value: yes, set: inCopy},
	ck.CKA_SENSITIVE:         {value: yes, other: map[call][]byte{derive: no}, set: raised},
	ck.CKA_EXTRACTABLE:       {value: no, other: map[call][]byte{derive: yes}, set: lowered},
	ck.CKA_ALWAYS_SENSITIVE:  {in: always(own)},
	ck.CKA_NEVER_EXTRACTABLE: {in: always(own)},
	ck.CKA_SIGN:              {value: no, set: settable},
	ck.CKA_DECRYPT:           {value: no, set: kept, role: true},
	ck.CKA_UNWRAP:            {value: no, set: kept, role: true},
	ck.CKA_WRAP_WITH_TRUSTED: {value: no, set: raised},
	ck.CKA_UNWRAP_TEMPLATE:   {value: empty},
	ck.CKA_DERIVE_TEMPLATE:   {value: empty},
}

// Of every private key (section 4.9).
var anyPrivateKey = anyKey.with(guarded).with(schema{
	ck.CKA_CLASS:                {in: named, value: Ulong(ck.CKO_PRIVATE_KEY)},
	ck.CKA_SUBJECT:              {value: empty, set: settable},
	ck.CKA_SIGN_RECOVER:         {value: no, set: settable},
	ck.CKA_DECAPSULATE:          {value: no, set: settable},
	ck.CKA_ALWAYS_AUTHENTICATE:  {value: no},
	ck.CKA_DECAPSULATE_TEMPLATE: {value: empty},
	ck.CKA_PUBLIC_KEY_INFO:      {in: supported},
})

// Of every secret key (section 4.10).
var anySecretKey = anyKey.with(guarded).with(schema{
	ck.CKA_CLASS:         {in: named, value: Ulong(ck.CKO_SECRET_KEY)},
	ck.CKA_SIGN:          {value: yes, set: settable, role: true},
	ck.CKA_VERIFY:        {value: yes, set: settable, role: true},
	ck.CKA_ENCRYPT:       {value: no, set: lowered, role: true},
	ck.CKA_DECRYPT:       {value: no, set: lowered, role: true},
	ck.CKA_WRAP:          {value: no, set: kept, role: true},
	ck.CKA_TRUSTED:       {value: no, set: settable, officer: true},
	ck.CKA_WRAP_TEMPLATE: {value: empty},
	ck.CKA_CHECK_VALUE:   {},
	ck.CKA_VALUE:         {in: given, hidden: true},
	ck.CKA_VALUE_LEN:     {in: inputs{own, required, optional, optional}},
})
