package token

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/mechanism"
)

// Seat is one application's place at a token: who is logged in there, its sessions and its session objects. What
// belongs to the token (its objects, keys and lower trees) is shared with the other seats.
//
// The keystore is open for all while the user is logged in at any seat, so it is no proof of a login here: every method
// that needs one asks its own seat.
type Seat struct {
	token     *Token
	limits    SeatLimits
	cancelled atomic.Bool // the application is about to end: no PIN is tried for it

	edits  sync.Mutex   // one change of session objects at a time
	adding sync.RWMutex // held for reading while objects are added, for writing while a session or a login ends

	mu       sync.RWMutex // guards what follows
	user     *ck.UserType // who is logged in; nil for nobody. Written under token.pins too
	master   keystore.MasterKey
	present  context.Context // ends at the logout; nil while nobody is logged in
	leave    context.CancelFunc
	using    context.Context // ends at the logout, and with the application
	sessions map[uint64]bool
	loose    *catalogue       // the session objects
	next     uint64           // number of the next session object
	leaving  []*mechanism.Key // decoded keys that nobody finds any more, to be wiped by discard
	closed   bool
}

// SeatLimits bound what a seat takes of memory; 0 stands for no bound. What passes one is CKR_DEVICE_MEMORY.
type SeatLimits struct {
	Objects     int // session objects
	SessionKeys int // of them HSS private keys: each has its trees in memory

	// Application ends with the application; nil stands for never. It is what the application's calls bring for a context.
	Application context.Context

	// Shared says that other applications are in the process. Session keys, for which nobody logs in, then leave the cores
	// to them: their lower trees are computed in the background.
	Shared bool

	// Claim asks for so many bytes for the attributes of session objects and the trees of session keys, and Release gives
	// back. Both or neither are nil.
	Claim   func(bytes int64) bool
	Release func(bytes int64)
}

// NewSeat is a place for one more application, where nobody is logged in.
func (t *Token) NewSeat(limits SeatLimits) *Seat {
	seat := &Seat{token: t, limits: limits, sessions: map[uint64]bool{}, loose: newCatalogue()}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seats[seat] = true
	return seat
}

// everySeat lists the seats of the token.
func (t *Token) everySeat() (seats []*Seat) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for seat := range t.seats {
		seats = append(seats, seat)
	}
	return seats
}

// Close ends the sessions and logs out: the application is gone. A closed seat takes neither sessions nor logins. It
// may be called twice.
func (seat *Seat) Close() {
	_ = seat.ending(func() ([]*object, error) { return seat.close(), nil })
}

// close is Close for a caller that holds token.pins, and discards without it what was taken off the list.
func (seat *Seat) close() (gone []*object) {
	seat.adding.Lock()
	seat.mu.Lock()
	seat.closed = true
	clear(seat.sessions)
	gone = seat.takeSessionObjects(func(*object) bool { return true })
	seat.mu.Unlock()
	seat.adding.Unlock()
	gone = append(gone, seat.logout()...)
	seat.token.mu.Lock()
	defer seat.token.mu.Unlock()
	delete(seat.token.seats, seat)
	return gone
}

// Session is who asks: a session of the seat, and what it may do.
type Session struct {
	ID        uint64
	ReadWrite bool
}

// BeginSession makes a session known, so that it can own objects. It waits for a C_InitToken under way.
// CKR_CRYPTOKI_NOT_INITIALIZED if the seat is closed.
func (seat *Seat) BeginSession(id uint64) error {
	seat.token.opening.RLock()
	defer seat.token.opening.RUnlock()
	seat.mu.Lock()
	defer seat.mu.Unlock()
	if seat.closed {
		return errClosed
	}
	seat.sessions[id] = true
	return nil
}

var errClosed = refuse(ck.CKR_CRYPTOKI_NOT_INITIALIZED, "the application has ended")

// countSessions counts the open sessions.
func (seat *Seat) countSessions() int {
	seat.mu.RLock()
	defer seat.mu.RUnlock()
	return len(seat.sessions)
}

// EndSession destroys the session's objects and returns their names.
func (seat *Seat) EndSession(id uint64) []ObjectID {
	seat.adding.Lock()
	seat.mu.Lock()
	delete(seat.sessions, id)
	gone := seat.takeSessionObjects(func(o *object) bool { return o.owner == id })
	seat.mu.Unlock()
	seat.adding.Unlock()
	ids := make([]ObjectID, 0, len(gone))
	for _, o := range gone {
		ids = append(ids, o.id)
	}
	seat.discard(gone...)
	slices.Sort(ids)
	return ids
}

// takeSessionObjects removes the session objects that go. The caller holds mu for writing, and discards them without
// it.
func (seat *Seat) takeSessionObjects(goes func(*object) bool) (gone []*object) {
	for _, o := range seat.loose.objects() {
		if goes(o) {
			gone = append(gone, o)
		}
	}
	for _, o := range gone {
		seat.loose.remove(o.id)
	}
	return gone
}

// discard ends session objects that were taken off the list, and the keys that leave with a login. The caller holds no lock, for it waits until nobody computes
// with them any more.
func (seat *Seat) discard(gone ...*object) {
	for _, o := range gone {
		o.leave()
	}
	seat.wipeLeaving()
	for _, o := range gone {
		o.discard()
		seat.release(o)
		if o.key != nil {
			seat.releaseBytes(o.key.memory)
		}
	}
}

// wipeLeaving waits for what computes with the keys.
func (seat *Seat) wipeLeaving() {
	seat.mu.Lock()
	keys := seat.leaving
	seat.leaving = nil
	seat.mu.Unlock()
	for _, key := range keys {
		key.Wipe()
	}
}

// claim is CKR_DEVICE_MEMORY if there is no room for the attributes of these session objects; then nothing is claimed.
func (seat *Seat) claim(objects ...*object) error {
	bytes := int64(0)
	for _, o := range objects {
		bytes += o.size()
	}
	return seat.claimBytes(bytes)
}

func (seat *Seat) claimBytes(bytes int64) error {
	if seat.limits.Claim != nil && bytes > 0 && !seat.limits.Claim(bytes) {
		return refuse(ck.CKR_DEVICE_MEMORY, "the session objects of the application take too much")
	}
	return nil
}

// release is the reverse of claim.
func (seat *Seat) release(objects ...*object) {
	for _, o := range objects {
		seat.releaseBytes(o.size())
	}
}

func (seat *Seat) releaseBytes(bytes int64) {
	if seat.limits.Release != nil {
		seat.limits.Release(bytes)
	}
}

// room is nil if the limits allow these session objects too, else CKR_DEVICE_MEMORY. The caller holds mu.
func (seat *Seat) room(more []*object) error {
	objects, keys := seat.loose.len()+len(more), 0
	for _, o := range more {
		if o.key != nil {
			keys++
		}
	}
	if most := seat.limits.Objects; most > 0 && len(more) > 0 && objects > most {
		return refuse(ck.CKR_DEVICE_MEMORY, "an application can have %d session objects at a token", most)
	}
	if keys == 0 {
		return nil
	}
	for _, o := range seat.loose.objects() {
		if o.key != nil {
			keys++
		}
	}
	if most := seat.limits.SessionKeys; most > 0 && keys > most {
		return refuse(ck.CKR_DEVICE_MEMORY, "an application can have %d HSS private keys that are session objects at a token", most)
	}
	return nil
}

// roomForKey tells before a session key is generated whether there is room for it.
func (seat *Seat) roomForKey() error {
	seat.mu.RLock()
	defer seat.mu.RUnlock()
	return seat.room([]*object{{key: &hssKey{}}})
}
