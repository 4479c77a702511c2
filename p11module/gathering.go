package p11module

import (
	"sync/atomic"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// gathering is the message of an operation that gets it in parts. LM-OTS hashes the leaf's number before the message,
// and the leaf is taken at the end, so the parts have to be kept (RFC 8554 section 4.5).
type gathering struct {
	memory  *memory
	message []byte
	parts   bool // Update was called: the operation ends with Final
	single  bool // the single-part function was asked for a length: the operation ends with it
}

// add takes one part in. CKR_DATA_LEN_RANGE if the message gets longer than max bytes, CKR_DEVICE_MEMORY if the
// application keeps too much already.
func (g *gathering) add(part []byte, max int64) error {
	if g.single {
		return ck.CKR_OPERATION_ACTIVE
	}
	if int64(len(part)) > max-int64(len(g.message)) {
		return ck.CKR_DATA_LEN_RANGE
	}
	if !g.memory.claim(int64(len(part))) {
		return ck.CKR_DEVICE_MEMORY
	}
	g.parts = true
	g.message = append(g.message, part...)
	return nil
}

// end gives the message's memory back. Every operation ends with it.
func (g *gathering) end() {
	g.memory.release(int64(len(g.message)))
	g.message = nil
}

// handleSize is about what one handle takes in a search, in bytes.
const handleSize = 16

// memory is what the messages, session objects, trees of session keys and searches of all sessions of an application take.
type memory struct {
	limits Limits
	used   atomic.Int64 // bytes
}

func (m *memory) claim(bytes int64) bool {
	if now := m.used.Add(bytes); m.limits.Memory > 0 && now > m.limits.Memory {
		m.used.Add(-bytes)
		return false
	}
	if m.limits.Claim != nil && !m.limits.Claim(bytes) {
		m.used.Add(-bytes)
		return false
	}
	return true
}

func (m *memory) release(bytes int64) {
	m.used.Add(-bytes)
	if m.limits.Release != nil {
		m.limits.Release(bytes)
	}
}
