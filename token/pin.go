package token

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"runtime"

	"golang.org/x/crypto/argon2"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
)

// PINs. The master key of a token is wrapped twice, under the SO PIN and under the user PIN:
//
//	PIN -- argon2id --> key-encryption key -- AES-256-GCM --> master key
//
// Each wrapped key is one value on the shelf, together with the count of wrong tries. The count is raised durably
// before a PIN is tried and set back after it was right: a power cut gives no free try.

// Limits of PINs.
const (
	MinPIN   = 4   // bytes
	MaxPIN   = 255 // bytes
	maxTries = 10  // wrong ones in a row, then the PIN is locked
)

// KDF is the cost of argon2id (RFC 9106). It is stored with each PIN.
type KDF struct {
	Time    uint32 `json:"time" toml:"passes"`
	Memory  uint32 `json:"memory" toml:"memory"` // KiB
	Threads uint8  `json:"threads" toml:"-"`
}

// defaultKDF is more than OWASP's least (46 MiB, one pass, one lane). Programs that log in, sign once and end pay for it
// each time; the second choice of RFC 9106 (three passes) would be most of what they take.
var defaultKDF = KDF{Time: 1, Memory: 64 << 10, Threads: 4}

var mostKDF = KDF{Time: 1000, Memory: 4 << 20}

// valid keeps a damaged record from asking for all the memory of the machine.
func (k KDF) valid() error {
	if k.Time < 1 || k.Time > mostKDF.Time || k.Threads < 1 || k.Memory < 8*uint32(k.Threads) || k.Memory > mostKDF.Memory {
		return fmt.Errorf("%w: argon2id with %d passes, %d KiB, %d threads", keystore.ErrDamaged, k.Time, k.Memory, k.Threads)
	}
	return nil
}

// check keeps a configuration from making PINs cheaper to guess than they are without one.
func (k KDF) check() error {
	if k.Time < defaultKDF.Time || k.Memory < defaultKDF.Memory || k.valid() != nil {
		return fmt.Errorf("pin.passes is %d and pin.memory %d: they can be %d to %d, and %d to %d",
			k.Time, k.Memory, defaultKDF.Time, mostKDF.Time, defaultKDF.Memory, mostKDF.Memory)
	}
	return nil
}

// pinRecord is the master key under one PIN.
type pinRecord struct {
	Version int    `json:"version"` // 1
	KDF     KDF    `json:"argon2id"`
	Salt    []byte `json:"salt"`   // 16 bytes
	Sealed  []byte `json:"sealed"` // the master key under the key-encryption key, as keystore.MasterKey.Seal writes it
	Tries   int    `json:"tries"`  // wrong ones since the last right one
}

// owner of a PIN, as the shelf and the sealing context spell it.
func pinName(user ck.UserType) string {
	if user == ck.CKU_SO {
		return "pin/so"
	}
	return "pin/user"
}

// pinContext binds a wrapped master key to its token and its user.
func pinContext(serial string, user ck.UserType) []byte {
	return fmt.Appendf(nil, "onceleaf master key/1 %s %s", serial, pinName(user))
}

func checkPINLength(pin []byte) error {
	if len(pin) < MinPIN || len(pin) > MaxPIN {
		return refuse(ck.CKR_PIN_LEN_RANGE, "a PIN has %d to %d bytes", MinPIN, MaxPIN)
	}
	return nil
}

// wrapMaster makes the record of a new PIN.
func wrapMaster(master keystore.MasterKey, pin []byte, kdf KDF, context []byte) ([]byte, error) {
	r := pinRecord{Version: 1, KDF: kdf, Salt: make([]byte, 16)}
	rand.Read(r.Salt)
	kek := r.keyEncryptionKey(pin)
	defer clear(kek)
	var err error
	if r.Sealed, err = kek.Seal(master, context); err != nil {
		return nil, err
	}
	return r.encode()
}

func parsePIN(text []byte) (r pinRecord, err error) {
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%w: PIN record: %w", keystore.ErrDamaged, err)
	}
	if r.Version != 1 {
		return r, fmt.Errorf("%w: PIN record of version %d", keystore.ErrVersion, r.Version)
	}
	if r.Tries < 0 || len(r.Salt) == 0 {
		return r, fmt.Errorf("%w: PIN record", keystore.ErrDamaged)
	}
	return r, r.KDF.valid()
}

func (r pinRecord) encode() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("couldn't write a PIN record: %w", err)
	}
	return text, nil
}

func (r pinRecord) keyEncryptionKey(pin []byte) keystore.MasterKey {
	useLargePages(int(r.KDF.Memory) << 10)
	// Its memory is garbage afterwards, and as long as it is not collected Go lets the rest grow by a multiple of it.
	defer func() { go runtime.GC() }()
	return argon2.IDKey(pin, r.Salt, r.KDF.Time, r.KDF.Memory, r.KDF.Threads, 32)
}

// open is the master key, in locked memory. A wrong PIN is CKR_PIN_INCORRECT; so is a damaged record, which looks the
// same.
func (r pinRecord) open(pin, context []byte) (keystore.MasterKey, error) {
	kek := r.keyEncryptionKey(pin)
	defer clear(kek)
	master, err := kek.Open(r.Sealed, context)
	if err != nil {
		return nil, refuse(ck.CKR_PIN_INCORRECT, "wrong PIN, try %d of %d", r.Tries, maxTries)
	}
	return master, nil
}

// readPIN is the record of a user's PIN, or CKR_USER_PIN_NOT_INITIALIZED.
func (t *Token) readPIN(user ck.UserType) (pinRecord, error) {
	text, err := t.shelf.Read(pinName(user))
	if err != nil {
		return pinRecord{}, fmt.Errorf("couldn't read the PIN record: %w", err)
	}
	if text == nil {
		return pinRecord{}, refuse(ck.CKR_USER_PIN_NOT_INITIALIZED, "no PIN was set for %s", user)
	}
	return parsePIN(text)
}

func (t *Token) writePIN(user ck.UserType, r pinRecord) error {
	text, err := r.encode()
	if err != nil {
		return err
	}
	return t.shelf.Write(map[string][]byte{pinName(user): text})
}

// tryPIN gives the master key for the right PIN. The caller holds t.pins. The order of the steps is the point: the try
// is counted, durably, before the PIN is looked at.
func (t *Token) tryPIN(user ck.UserType, pin []byte) (keystore.MasterKey, error) {
	if len(pin) > MaxPIN { // no PIN is that long, and a length gone wrong must not be read
		return nil, refuse(ck.CKR_PIN_LEN_RANGE, "a PIN has at most %d bytes", MaxPIN)
	}
	r, err := t.readPIN(user)
	if err != nil {
		return nil, err
	}
	if r.Tries >= maxTries {
		return nil, refuse(ck.CKR_PIN_LOCKED, "%d wrong tries", r.Tries)
	}
	r.Tries++
	if err := t.writePIN(user, r); err != nil {
		return nil, fmt.Errorf("couldn't count the try: %w", err)
	}
	master, err := r.open(pin, pinContext(t.serial, user))
	if err != nil {
		t.log.Warn("wrong PIN", "token", t.serial, "user", user, "try", r.Tries, "of", maxTries)
		return nil, err
	}
	r.Tries = 0
	if err := t.writePIN(user, r); err != nil {
		keystore.Wipe(master)
		return nil, fmt.Errorf("couldn't reset the count of tries: %w", err)
	}
	return master, nil
}

// pinFlags are the token flags that tell about one PIN; a PIN that is not set has none.
func (t *Token) pinFlags(user ck.UserType) (uint64, error) {
	low, final, locked := ck.CKF_USER_PIN_COUNT_LOW, ck.CKF_USER_PIN_FINAL_TRY, ck.CKF_USER_PIN_LOCKED
	if user == ck.CKU_SO {
		low, final, locked = ck.CKF_SO_PIN_COUNT_LOW, ck.CKF_SO_PIN_FINAL_TRY, ck.CKF_SO_PIN_LOCKED
	}
	text, err := t.shelf.Read(pinName(user))
	if err != nil || text == nil {
		return 0, err
	}
	r, err := parsePIN(text)
	if err != nil {
		return 0, err
	}
	var flags uint64
	if user == ck.CKU_USER {
		flags |= ck.CKF_USER_PIN_INITIALIZED
	}
	if r.Tries > 0 {
		flags |= low
	}
	if r.Tries == maxTries-1 {
		flags |= final
	}
	if r.Tries >= maxTries {
		flags |= locked
	}
	return flags, nil
}
