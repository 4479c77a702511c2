package p11module

import "github.com/onceleaf/onceleaf/internal/ck"

// gathering is the message of an operation that gets it in parts. LM-OTS hashes the leaf's number before the message,
// and the leaf is taken at the end, so the parts have to be kept (RFC 8554 section 4.5).
type gathering struct {
	message []byte
	parts   bool // Update was called: the operation ends with Final
	single  bool // the single-part function was asked for a length: the operation ends with it
}

// add takes one part in. CKR_DATA_LEN_RANGE if the message gets longer than max bytes.
func (g *gathering) add(part []byte, max int64) error {
	if g.single {
		return ck.CKR_OPERATION_ACTIVE
	}
	if int64(len(part)) > max-int64(len(g.message)) {
		return ck.CKR_DATA_LEN_RANGE
	}
	g.parts = true
	g.message = append(g.message, part...)
	return nil
}
