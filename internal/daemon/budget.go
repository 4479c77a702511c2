package daemon

import "sync"

// usage is what somebody takes of the daemon.
type usage struct {
	clients, connections, windows int
	memory                        int64 // bytes
}

func (u usage) plus(v usage) usage {
	return usage{u.clients + v.clients, u.connections + v.connections, u.windows + v.windows, u.memory + v.memory}
}

func (u usage) within(limit usage) bool {
	return u.clients <= limit.clients && u.connections <= limit.connections && u.windows <= limit.windows && u.memory <= limit.memory
}

// budget counts what clients take, so that there is an end to it.
type budget struct {
	limit  usage
	shared bool // several users may connect

	mu    sync.Mutex // guards what follows
	total usage
	users map[uint32]usage
}

func newBudget(limit usage, shared bool) *budget {
	return &budget{limit: limit, shared: shared, users: map[uint32]usage{}}
}

// take counts more for a user, unless that passes a limit.
func (b *budget) take(uid uint32, more usage) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	total, user := b.total.plus(more), b.users[uid].plus(more)
	if !total.within(b.limit) || !user.within(b.share()) {
		return false
	}
	b.total, b.users[uid] = total, user
	return true
}

// share is what one user may take. Where there are several, a quarter is out of reach of each of them: nobody alone
// can keep the others out.
func (b *budget) share() usage {
	l := b.limit
	if !b.shared {
		return l
	}
	return usage{l.clients - l.clients/4, l.connections - l.connections/4, l.windows - l.windows/4, l.memory - l.memory/4}
}

// giveBack is the reverse of take.
func (b *budget) giveBack(uid uint32, less usage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	minus := usage{-less.clients, -less.connections, -less.windows, -less.memory}
	b.total, b.users[uid] = b.total.plus(minus), b.users[uid].plus(minus)
	if b.users[uid] == (usage{}) {
		delete(b.users, uid)
	}
}

func (b *budget) inUse() usage {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total
}
