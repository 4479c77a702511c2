package mechanism

import (
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

func TestCTRKnownAnswers(t *testing.T) {
	p := &ck.CTRParams{CounterBits: 128, Block: [16]byte(octets(t, "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"))}
	for key, want := range map[string]string{
		nist128: "874d6191b620e3261bef6864990db6ce 9806f66b7970fdff8617187bb9fffdff 5ae4df3edbd5d35e5b4f09020db03eab " +
			"1e031dda2fbe03d1792170a0f3009cee",
		nist192: "1abc932417521ca24f2b0459fe7e6e0b 090339ec0aa6faefd5ccc2c6f4ce8e94 1e36b26bd1ebc670d1bd1d665620abf7 " +
			"4f78a7f6d29809585a97daec58c6b050",
		nist256: "601ec313775789a5b7a7f504bbf3d228 f443e3ca4d62b59aca84e990cacaf5c5 2b0930daa23de94ce87017ba2d84988d " +
			"dfc9c58db67aada613c2dd08457941a6",
	} {
		m := ck.Mechanism{Type: ck.CKM_AES_CTR, Struct: p}
		bothWays(t, m, aesKey(t, key), octets(t, nistPlain), octets(t, want))
		bothWays(t, m, aesKey(t, key), octets(t, nistPlain)[:37], octets(t, want)[:37])
	}
}

// The counter never comes round: the last block is the one whose counter bits are all ones.
func TestCTREnds(t *testing.T) {
	for _, c := range []struct {
		bits  uint64
		block string
		left  int
	}{
		{1, "00000000000000000000000000000000", 32},
		{1, "00000000000000000000000000000001", 16},
		{4, "ffffffffffffffffffffffffffffff00", 256},
		{8, "000000000000000000000000000000fd", 48},
		{12, "00000000000000000000000000000fff", 16},
		{128, "ffffffffffffffffffffffffffffffff", 16},
	} {
		p := &ck.CTRParams{CounterBits: c.bits, Block: [16]byte(octets(t, c.block))}
		m := ck.Mechanism{Type: ck.CKM_AES_CTR, Struct: p}
		once(t, encrypter(t, m, aesKey(t, nist128)), make([]byte, c.left))
		_, err := encrypter(t, m, aesKey(t, nist128)).Once(make([]byte, c.left+1))
		wantRV(t, err, ck.CKR_DATA_LEN_RANGE)
		_, err = inParts(t, decrypter(t, m, aesKey(t, nist128)), make([]byte, c.left+1), 9)
		wantRV(t, err, ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
	}
	if left := countLeft([16]byte{15: 1}, 32); left != 16*(1<<32-1) {
		t.Errorf("%d bytes of RFC 3686", left)
	}
	if left := countLeft([16]byte{}, 128); left != 1<<60 {
		t.Errorf("%d bytes with 128 bits", left)
	}
}

func TestCTRParameters(t *testing.T) {
	for _, m := range []ck.Mechanism{{}, {Struct: &ck.CTRParams{}}, {Struct: &ck.CTRParams{CounterBits: 129}},
		{Struct: (*ck.CTRParams)(nil)}, {Parameter: make([]byte, 16)}, {Misfit: true}} {
		m.Type = ck.CKM_AES_CTR
		_, err := NewDecryption(m, aesKey(t, nist128))
		wantRV(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
	}
}
