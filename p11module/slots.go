package p11module

import (
	"strings"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/token"
)

// GetSlotList is C_GetSlotList. Every slot holds a token; the token in the last is not initialised.
func (m *Module) GetSlotList(bool) (slots []ck.SlotID, rv ck.RV) {
	rv = m.run("C_GetSlotList", func(l *library) error {
		slots = l.host.device.Slots()
		return nil
	})
	return slots, rv
}

// GetSlotInfo is C_GetSlotInfo. It answers for a slot whose store cannot be used, too: the token is there.
func (m *Module) GetSlotInfo(slot ck.SlotID) (info SlotInfo, rv ck.RV) {
	rv = m.run("C_GetSlotInfo", func(l *library) error {
		if err := l.host.device.Has(slot); err != nil {
			return err
		}
		info = SlotInfo{
			Description: description, Manufacturer: manufacturer, Flags: ck.CKF_TOKEN_PRESENT,
			Hardware: LibraryVersion, Firmware: LibraryVersion,
		}
		return nil
	})
	return info, rv
}

// GetTokenInfo is C_GetTokenInfo. CKR_DEVICE_ERROR if the store of the token cannot be used; the log says why.
func (m *Module) GetTokenInfo(slot ck.SlotID) (info TokenInfo, rv ck.RV) {
	rv = m.run("C_GetTokenInfo", func(l *library) error {
		t, err := l.host.device.Info(slot)
		if err != nil {
			return err
		}
		sessions, readWrite := l.countSessions(slot)
		info = TokenInfo{
			Label: t.Label, Manufacturer: manufacturer, Model: manufacturer, Serial: t.Serial, Flags: t.Flags,
			MaxSessionCount: ck.CK_EFFECTIVELY_INFINITE, SessionCount: sessions,
			MaxRWSessionCount: ck.CK_EFFECTIVELY_INFINITE, RWSessionCount: readWrite,
			MaxPINLen: token.MaxPIN, MinPINLen: token.MinPIN,
			TotalPublicMemory: ck.UNAVAILABLE, FreePublicMemory: ck.UNAVAILABLE,
			TotalPrivateMemory: ck.UNAVAILABLE, FreePrivateMemory: ck.UNAVAILABLE,
			Hardware: LibraryVersion, Firmware: LibraryVersion,
		}
		return nil
	})
	return info, rv
}

// GetMechanismList is C_GetMechanismList; it is the same for all slots.
func (m *Module) GetMechanismList(slot ck.SlotID) (list []ck.MechanismType, rv ck.RV) {
	rv = m.run("C_GetMechanismList", func(l *library) error {
		for _, mechanism := range token.Mechanisms() {
			list = append(list, mechanism.Type)
		}
		return l.host.device.Has(slot)
	})
	return list, rv
}

// GetMechanismInfo is C_GetMechanismInfo.
func (m *Module) GetMechanismInfo(slot ck.SlotID, mechanism ck.MechanismType) (info MechanismInfo, rv ck.RV) {
	rv = m.run("C_GetMechanismInfo", func(l *library) error {
		if err := l.host.device.Has(slot); err != nil {
			return err
		}
		for _, offered := range token.Mechanisms() {
			if offered.Type == mechanism {
				info = MechanismInfo{offered.MinKeySize, offered.MaxKeySize, offered.Flags}
				return nil
			}
		}
		return ck.CKR_MECHANISM_INVALID
	})
	return info, rv
}

// InitToken is C_InitToken; the label is padded with blanks. CKR_SESSION_EXISTS while the token has sessions.
func (m *Module) InitToken(slot ck.SlotID, pin []byte, label [32]byte) ck.RV {
	return m.run("C_InitToken", func(l *library) error {
		if err := l.host.device.Has(slot); err != nil {
			return err
		}
		if pin == nil {
			return ck.CKR_ARGUMENTS_BAD // there is no PIN pad to read it from
		}
		gate := l.gate(slot)
		gate.Lock()
		defer gate.Unlock()
		if err := l.ctx.Err(); err != nil { // the application came to its end while this call waited
			return err
		}
		if sessions, _ := l.countSessions(slot); sessions > 0 {
			return ck.CKR_SESSION_EXISTS
		}
		if err := l.host.device.InitToken(slot, pin, strings.TrimRight(string(label[:]), " \x00")); err != nil {
			return err
		}
		l.handles.dropSlot(slot, false)
		return nil
	})
}

// InitPIN is C_InitPIN: the SO sets the user's PIN.
func (m *Module) InitPIN(h ck.SessionHandle, pin []byte) ck.RV {
	return m.runInSession("C_InitPIN", h, func(l *library, s *session) error {
		if pin == nil {
			return ck.CKR_ARGUMENTS_BAD
		}
		done, err := l.pinTurn(s)
		if err != nil {
			return err
		}
		defer done()
		return s.seat.InitPIN(pin)
	})
}

// SetPIN is C_SetPIN: the PIN of who is logged in, and the user's if nobody is.
func (m *Module) SetPIN(h ck.SessionHandle, oldPIN, newPIN []byte) ck.RV {
	return m.runInSession("C_SetPIN", h, func(l *library, s *session) error {
		if oldPIN == nil || newPIN == nil {
			return ck.CKR_ARGUMENTS_BAD
		}
		if !s.readWrite {
			return ck.CKR_SESSION_READ_ONLY
		}
		done, err := l.pinTurn(s)
		if err != nil {
			return err
		}
		defer done()
		return s.seat.SetPIN(oldPIN, newPIN)
	})
}
