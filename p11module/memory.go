package p11module

import (
	"sync/atomic"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// handleSize is about what one handle takes in a search, in bytes.
const handleSize = 16

// memory is what the operations, session objects, trees of session keys and searches of all sessions of an application
// take.
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

// held is what one operation keeps of what it was given.
type held struct {
	memory *memory
	bytes  int64
}

// claim is CKR_DEVICE_MEMORY if the application keeps too much already.
func (h *held) claim(bytes int) error {
	if bytes == 0 {
		return nil
	}
	if !h.memory.claim(int64(bytes)) {
		return ck.CKR_DEVICE_MEMORY
	}
	h.bytes += int64(bytes)
	return nil
}

// keep claims or gives back what is missing to bytes. CKR_DEVICE_MEMORY if the application keeps too much already.
func (h *held) keep(bytes int) error {
	if more := bytes - int(h.bytes); more > 0 {
		return h.claim(more)
	}
	h.release(int(h.bytes) - bytes)
	return nil
}

// release gives back what is kept no more.
func (h *held) release(bytes int) {
	less := min(int64(bytes), h.bytes)
	h.bytes -= less
	if less > 0 {
		h.memory.release(less)
	}
}

func (h *held) end() { h.release(int(h.bytes)) }
