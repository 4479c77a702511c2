package main

import (
	"encoding/binary"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// session is an open read-write session with one token.
type session struct {
	*module
	slot   slot
	handle pkcs11.SessionHandle
}

// withSession runs do in a session with the chosen token, nobody being logged in.
func (inv *invocation) withSession(do func(*session) error) error {
	return inv.withModule(func(m *module) error {
		slots, err := m.slots()
		if err != nil {
			return err
		}
		chosen, err := inv.chooseToken(slots)
		if err != nil {
			return err
		}
		return m.inSession(chosen, do)
	})
}

// withUser is withSession with the user logged in.
func (inv *invocation) withUser(do func(*session) error) error {
	return inv.withSession(func(s *session) error {
		if err := inv.login(s, ck.CKU_USER); err != nil {
			return err
		}
		return do(s)
	})
}

// inSession opens a session, runs do and closes the session, which also logs out.
func (m *module) inSession(chosen slot, do func(*session) error) error {
	handle, err := m.lib.OpenSession(chosen.id, uint(ck.CKF_SERIAL_SESSION|ck.CKF_RW_SESSION))
	if err != nil {
		return asking.problem(err)
	}
	defer m.lib.CloseSession(handle)
	return do(&session{m, chosen, handle})
}

// login asks for the PIN of the user or of the security officer and logs in with it.
func (inv *invocation) login(s *session, who ck.UserType) error {
	if who == ck.CKU_USER && !s.slot.has(ck.CKF_USER_PIN_INITIALIZED) {
		return loggingIn.problem(ck.CKR_USER_PIN_NOT_INITIALIZED)
	}
	pin, err := inv.currentPIN(who, s.slot.token.Label)
	if err != nil {
		return err
	}
	return loggingIn.problem(s.lib.Login(s.handle, uint(who), pin))
}

// find lists the objects that match a template.
func (s *session) find(template ...*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	if err := s.lib.FindObjectsInit(s.handle, template); err != nil {
		return nil, asking.problem(err)
	}
	defer s.lib.FindObjectsFinal(s.handle)
	var found []pkcs11.ObjectHandle
	for {
		some, _, err := s.lib.FindObjects(s.handle, 64)
		if err != nil {
			return nil, asking.problem(err)
		}
		if len(some) == 0 {
			return found, nil
		}
		found = append(found, some...)
	}
}

// value reads one attribute of an object.
func (s *session) value(object pkcs11.ObjectHandle, t ck.AttributeType) ([]byte, error) {
	got, err := s.lib.GetAttributeValue(s.handle, object, []*pkcs11.Attribute{pkcs11.NewAttribute(uint(t), nil)})
	if err != nil {
		return nil, asking.problem(err)
	}
	return got[0].Value, nil
}

// Attributes and mechanisms, as this machine's C lays them out: a CK_ULONG has 8 bytes, the least significant first.

func ulong[T ~uint64](v T) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(v)) }

func ulongs[T ~uint32](values []T) []byte {
	var b []byte
	for _, v := range values {
		b = append(b, ulong(uint64(v))...)
	}
	return b
}

func number[T ~uint64](t ck.AttributeType, v T) *pkcs11.Attribute {
	return pkcs11.NewAttribute(uint(t), ulong(v))
}

func boolean(t ck.AttributeType, v bool) *pkcs11.Attribute { return pkcs11.NewAttribute(uint(t), v) }

func octets(t ck.AttributeType, v []byte) *pkcs11.Attribute { return pkcs11.NewAttribute(uint(t), v) }

func text(t ck.AttributeType, v string) *pkcs11.Attribute { return pkcs11.NewAttribute(uint(t), v) }

// mechanism has no parameter if parameter is nil.
func mechanism(t ck.MechanismType, parameter []byte) []*pkcs11.Mechanism {
	if parameter == nil {
		return []*pkcs11.Mechanism{pkcs11.NewMechanism(uint(t), nil)}
	}
	return []*pkcs11.Mechanism{pkcs11.NewMechanism(uint(t), parameter)}
}
