package p11module

import (
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/mechanism"
)

// messages is message-based encryption or decryption. An error ends the message under way, and not the operation.
type messages struct {
	cipher mechanism.MessageCipher
	held   held // of the message under way, which stays until its tag is made or was seen, in both directions
	begun  bool // a message came in part
}

func (e *messages) end() { e.endMessage() }

// endMessage gives up the message under way, and gives its memory back.
func (e *messages) endMessage() {
	e.cipher.GiveUp()
	e.held.end()
	e.begun = false
}

// MessageEncryptInit is C_MessageEncryptInit.
func (m *Module) MessageEncryptInit(h ck.SessionHandle, with Mechanism, key ck.ObjectHandle) ck.RV {
	return m.begin("C_MessageEncryptInit", encryptingMessages, h, func(l *library, s *session) (*operation, error) {
		return l.messages(s, key, with, ck.CKA_ENCRYPT, ck.CKF_MESSAGE_ENCRYPT, mechanism.NewMessageEncryption)
	})
}

// MessageDecryptInit is C_MessageDecryptInit.
func (m *Module) MessageDecryptInit(h ck.SessionHandle, with Mechanism, key ck.ObjectHandle) ck.RV {
	return m.begin("C_MessageDecryptInit", decryptingMessages, h, func(l *library, s *session) (*operation, error) {
		return l.messages(s, key, with, ck.CKA_DECRYPT, ck.CKF_MESSAGE_DECRYPT, mechanism.NewMessageDecryption)
	})
}

func (l *library) messages(s *session, key ck.ObjectHandle, with Mechanism, right ck.AttributeType, flag uint64,
	create func(ck.Mechanism, *mechanism.Key) (mechanism.MessageCipher, error)) (*operation, error) {
	use, err := l.use(s, key, with, right, flag)
	if err != nil {
		return nil, err
	}
	cipher, err := create(with, use.Key)
	if err != nil {
		return nil, err
	}
	begun := &messages{cipher: cipher, held: held{memory: l.memory}}
	return &operation{message: begun, private: use.Private, waits: use.Authenticate}, nil
}

// messageCall is one call of a message function.
type messageCall struct {
	kind             kind
	stage            stage // once, update for a part, final for the last part
	parameter        MessageParameter
	associated, data []byte
}

// message does one call for a message that comes whole or in part.
func (m *Module) message(function string, h ck.SessionHandle, c messageCall, out Output) (made MessageOutput,
	result []byte, length uint64, rv ck.RV) {
	rv = m.withMessages(function, h, c, func(e *messages) (err error) {
		length = uint64(e.room(c))
		switch {
		case out.Query:
			return nil
		case out.Room < length:
			return ck.CKR_BUFFER_TOO_SMALL
		}
		made, result, err = e.do(c)
		if err != nil {
			length = 0
			e.endMessage()
		}
		return err
	})
	return made, result, length, rv
}

// withMessages does work with the operation that c is for. The message under way has to fit the call.
func (m *Module) withMessages(function string, h ck.SessionHandle, c messageCall, work func(*messages) error) ck.RV {
	return m.runInSession(function, h, func(_ *library, s *session) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		op := s.operations[c.kind]
		switch {
		case op == nil:
			return ck.CKR_OPERATION_NOT_INITIALIZED
		case op.waits:
			s.end(c.kind)
			return errAuthenticate
		case len(c.data) > MaxPart || len(c.associated) > MaxPart:
			s.end(c.kind)
			return ck.CKR_DATA_LEN_RANGE
		}
		if err := op.message.fits(c); err != nil {
			op.message.endMessage()
			return err
		}
		return work(op.message)
	})
}

// fits holds a call to the message under way, and to what its parameter has to be.
func (e *messages) fits(c messageCall) error {
	switch {
	case c.parameter.GCM == nil:
		return ck.CKR_ARGUMENTS_BAD
	case c.stage == once && e.begun:
		return ck.CKR_OPERATION_ACTIVE
	case c.stage != once && !e.begun:
		return ck.CKR_OPERATION_NOT_INITIALIZED
	}
	return nil
}

// room is the number of bytes that come out of a call.
func (e *messages) room(c messageCall) int {
	if c.stage == once {
		return e.cipher.WholeBound(len(c.data))
	}
	return e.cipher.NextBound(len(c.data), c.stage == final)
}

func (e *messages) do(c messageCall) (made MessageOutput, result []byte, err error) {
	var parts mechanism.MessageParts
	if c.stage == once {
		result, parts, err = e.cipher.Whole(c.parameter.GCM, c.associated, c.data)
	} else {
		result, parts, err = e.next(c)
	}
	if err != nil {
		clear(result)
		return MessageOutput{}, nil, err
	}
	return MessageOutput(parts), result, nil
}

func (e *messages) next(c messageCall) (result []byte, parts mechanism.MessageParts, err error) {
	if err := e.held.keep(e.cipher.Held(len(c.data))); err != nil {
		return nil, parts, err
	}
	result, parts, err = e.cipher.Next(c.parameter.GCM, c.data, c.stage == final)
	if c.stage == final {
		e.endMessage()
	}
	return result, parts, err
}

// beginMessage is the beginning of a message that comes in parts.
func (m *Module) beginMessage(function string, h ck.SessionHandle, c messageCall) (made MessageOutput, rv ck.RV) {
	rv = m.withMessages(function, h, c, func(e *messages) error {
		parts, err := e.begin(c)
		if err != nil {
			e.endMessage()
			return err
		}
		e.begun, made = true, MessageOutput(parts)
		return nil
	})
	return made, rv
}

// begin pays first for what stays of the beginning.
func (e *messages) begin(c messageCall) (parts mechanism.MessageParts, err error) {
	if err := e.held.keep(len(c.parameter.GCM.IV) + len(c.associated)); err != nil {
		return parts, err
	}
	return e.cipher.Begin(c.parameter.GCM, c.associated)
}

// endMessages ends the operation.
func (m *Module) endMessages(function string, h ck.SessionHandle, k kind) ck.RV {
	return m.runInSession(function, h, func(_ *library, s *session) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		op := s.operations[k]
		if op == nil {
			return ck.CKR_OPERATION_NOT_INITIALIZED
		}
		defer s.end(k)
		if op.message.begun {
			return ck.CKR_OPERATION_ACTIVE
		}
		return nil
	})
}

// nextStage is what the flags of C_EncryptMessageNext say.
func nextStage(flags uint64) stage {
	if flags&ck.CKF_END_OF_MESSAGE != 0 {
		return final
	}
	return update
}

// EncryptMessage is C_EncryptMessage.
func (m *Module) EncryptMessage(h ck.SessionHandle, parameter MessageParameter, associated, plain []byte,
	out Output) (made MessageOutput, encrypted []byte, length uint64, rv ck.RV) {
	return m.message("C_EncryptMessage", h, messageCall{encryptingMessages, once, parameter, associated, plain}, out)
}

// EncryptMessageBegin is C_EncryptMessageBegin.
func (m *Module) EncryptMessageBegin(h ck.SessionHandle, parameter MessageParameter,
	associated []byte) (made MessageOutput, rv ck.RV) {
	return m.beginMessage("C_EncryptMessageBegin", h, messageCall{encryptingMessages, once, parameter, associated, nil})
}

// EncryptMessageNext is C_EncryptMessageNext. The tag comes with the last part, the one with CKF_END_OF_MESSAGE.
func (m *Module) EncryptMessageNext(h ck.SessionHandle, parameter MessageParameter, plain []byte, out Output,
	flags uint64) (made MessageOutput, encrypted []byte, length uint64, rv ck.RV) {
	c := messageCall{encryptingMessages, nextStage(flags), parameter, nil, plain}
	return m.message("C_EncryptMessageNext", h, c, out)
}

// MessageEncryptFinal is C_MessageEncryptFinal.
func (m *Module) MessageEncryptFinal(h ck.SessionHandle) ck.RV {
	return m.endMessages("C_MessageEncryptFinal", h, encryptingMessages)
}

// DecryptMessage is C_DecryptMessage.
func (m *Module) DecryptMessage(h ck.SessionHandle, parameter MessageParameter, associated, encrypted []byte,
	out Output) (plain []byte, length uint64, rv ck.RV) {
	c := messageCall{decryptingMessages, once, parameter, associated, encrypted}
	_, plain, length, rv = m.message("C_DecryptMessage", h, c, out)
	return plain, length, rv
}

// DecryptMessageBegin is C_DecryptMessageBegin.
func (m *Module) DecryptMessageBegin(h ck.SessionHandle, parameter MessageParameter, associated []byte) ck.RV {
	_, rv := m.beginMessage("C_DecryptMessageBegin", h, messageCall{decryptingMessages, once, parameter, associated, nil})
	return rv
}

// DecryptMessageNext is C_DecryptMessageNext. All of the message comes out with its last part, when its tag was found
// right.
func (m *Module) DecryptMessageNext(h ck.SessionHandle, parameter MessageParameter, encrypted []byte,
	out Output, flags uint64) (plain []byte, length uint64, rv ck.RV) {
	c := messageCall{decryptingMessages, nextStage(flags), parameter, nil, encrypted}
	_, plain, length, rv = m.message("C_DecryptMessageNext", h, c, out)
	return plain, length, rv
}

// MessageDecryptFinal is C_MessageDecryptFinal.
func (m *Module) MessageDecryptFinal(h ck.SessionHandle) ck.RV {
	return m.endMessages("C_MessageDecryptFinal", h, decryptingMessages)
}
