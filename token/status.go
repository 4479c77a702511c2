package token

// Status tells how a token is in use, over all its seats.
type Status struct {
	Label     string `json:"label"`
	Serial    string `json:"serial"`
	Users     int    `json:"users"` // seats with the user logged in
	Seats     int    `json:"seats"`
	Sessions  int    `json:"sessions"`
	Lingering bool   `json:"lingering"` // open although no user is logged in
}

// Status is that of every token that can be used, in order of the slots.
func (d *Device) Status() (all []Status) {
	for _, id := range d.Slots() {
		if t, err := d.Token(id); err == nil {
			all = append(all, t.status())
		}
	}
	return all
}

func (t *Token) status() Status {
	sessions := 0
	for _, seat := range t.everySeat() {
		sessions += seat.countSessions()
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return Status{
		Label: t.label, Serial: t.serial, Users: t.users, Seats: len(t.seats), Sessions: sessions,
		Lingering: t.unlocked && t.users == 0,
	}
}
