package p11module

import (
	"errors"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/mechanism"
	"github.com/onceleaf/onceleaf/token"
)

// kind is a kind of operation. A session has at most one of each in progress, and those of different kinds do not meet.
type kind int

const (
	encrypting kind = iota
	decrypting
	digesting
	signing
	verifying
	verifyingKnown // of C_VerifySignatureInit, where the signature comes first
	encryptingMessages
	decryptingMessages
	kinds
)

// flagOf is by what C_SessionCancel names a kind.
var flagOf = [kinds]uint64{
	encrypting:         ck.CKF_ENCRYPT,
	decrypting:         ck.CKF_DECRYPT,
	digesting:          ck.CKF_DIGEST,
	signing:            ck.CKF_SIGN,
	verifying:          ck.CKF_VERIFY,
	verifyingKnown:     ck.CKF_VERIFY,
	encryptingMessages: ck.CKF_MESSAGE_ENCRYPT,
	decryptingMessages: ck.CKF_MESSAGE_DECRYPT,
}

// everyOperation are the operations that a session can have in progress.
const everyOperation = ck.CKF_ENCRYPT | ck.CKF_DECRYPT | ck.CKF_DIGEST | ck.CKF_SIGN | ck.CKF_VERIFY |
	ck.CKF_MESSAGE_ENCRYPT | ck.CKF_MESSAGE_DECRYPT | ck.CKF_FIND_OBJECTS

// stage is the part of an operation that a call does.
type stage int

const (
	once   stage = iota // all of it: C_Sign
	update              // C_SignUpdate
	final               // C_SignFinal
)

// input is what a call brings. A verification has a signature too, unless it was given before.
type input struct{ data, signature []byte }

// engine does the work of an operation: once alone, or update as often as wanted and then final. After an error it is
// dead.
type engine interface {
	// room is how many bytes stage gives for n bytes of data: exactly, but for once of a decryption, where it is a bound.
	room(at stage, n int) int
	once(in input) ([]byte, error)
	update(part []byte) ([]byte, error)
	final(in input) ([]byte, error)
	end() // gives memory back; the last call
}

// operation is an operation in progress. Its session's mu guards it.
//
// What ends one: its last call with room for the result, every error but CKR_BUFFER_TOO_SMALL, C_SessionCancel (or an
// Init without a mechanism), the end of the session, and where it has a private key the end of the login. A length query
// and CKR_BUFFER_TOO_SMALL do nothing but to settle whether it goes on in one piece or in parts.
type operation struct {
	engine  engine
	renew   func() (engine, error) // a new engine, where it may turn out too late that the result does not fit
	message *messages              // of the message kinds, which have no engine
	private bool                   // ends with the login
	// waits is CKA_ALWAYS_AUTHENTICATE: the key is not used before C_Login with CKU_CONTEXT_SPECIFIC.
	waits bool
	begun bool  // the first call came, which was
	form  stage // once, or update for an operation in parts
	// alone is an engine whose last call takes long, looks after the login itself, and so goes without the session's mu.
	alone bool
}

// begin is an Init function: an operation of the kind, unless there is one.
func (m *Module) begin(function string, k kind, h ck.SessionHandle, start starter) ck.RV {
	return m.runInSession(function, h, beginning(k, start))
}

// starter makes an operation for a session.
type starter func(*library, *session) (*operation, error)

func beginning(k kind, start starter) func(*library, *session) error {
	return func(l *library, s *session) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.inProgress(flagOf[k]) {
			return ck.CKR_OPERATION_ACTIVE
		}
		if s.closed {
			return ck.CKR_SESSION_HANDLE_INVALID
		}
		op, err := start(l, s)
		if err != nil {
			return handleError(err, ck.CKR_KEY_HANDLE_INVALID)
		}
		s.operations[k] = op
		if op.waits {
			s.waiting = op
		}
		return nil
	}
}

// withKey begins an operation with a key other than an HSS key; the seat has all the checks. create makes its engine.
func (l *library) withKey(s *session, h ck.ObjectHandle, m Mechanism, right ck.AttributeType, flag uint64,
	create func(*mechanism.Key) (engine, error)) (*operation, error) {
	use, err := l.use(s, h, m, right, flag)
	if err != nil {
		return nil, err
	}
	renew := func() (engine, error) { return create(use.Key) }
	e, err := renew()
	if err != nil {
		return nil, err
	}
	return &operation{engine: e, renew: renew, private: use.Private, waits: use.Authenticate}, nil
}

// use is the key of an Init function.
func (l *library) use(s *session, h ck.ObjectHandle, m Mechanism, right ck.AttributeType,
	flag uint64) (token.Use, error) {
	id, err := l.handles.object(s, h, ck.CKR_KEY_HANDLE_INVALID)
	if err != nil {
		return token.Use{}, err
	}
	return s.seat.Key(id, m, right, flag)
}

// work is a function that goes on with an operation. It answers the result and its length, or the length alone.
func (m *Module) work(function string, k kind, at stage, h ck.SessionHandle, in input,
	out Output) (result []byte, length uint64, rv ck.RV) {
	rv = m.runInSession(function, h, func(_ *library, s *session) error {
		if len(in.data) > MaxPart {
			s.cancel(flagOf[k])
			return ck.CKR_DATA_LEN_RANGE
		}
		var err error
		result, length, err = s.step(k, at, in, out)
		return err
	})
	return result, length, rv
}

// step does one call of an operation.
func (s *session) step(k kind, at stage, in input, out Output) (result []byte, length uint64, err error) {
	alone, result, length, err := s.stepHere(k, at, in, out)
	if alone == nil {
		return result, length, err
	}
	defer alone.engine.end()
	result, err = alone.do(at, in)
	return result, length, err
}

// stepHere is step, as far as it is done while s.mu is held: an operation that it returns is the caller's to finish, for
// it is not the session's any more.
func (s *session) stepHere(k kind, at stage, in input, out Output) (alone *operation, result []byte,
	length uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	op := s.operations[k]
	if op == nil {
		return nil, nil, 0, ck.CKR_OPERATION_NOT_INITIALIZED
	}
	if err := op.goOn(at, out); err != nil {
		s.end(k)
		return nil, nil, 0, err
	}
	room := uint64(op.engine.room(at, len(in.data)))
	exact := k != decrypting || at != once
	switch {
	case out.Query:
		return nil, nil, room, nil
	case exact && out.Room < room:
		return nil, nil, room, ck.CKR_BUFFER_TOO_SMALL
	case op.alone && at != update:
		s.operations[k] = nil
		return op, nil, room, nil
	}
	result, length, err = s.finish(k, op, at, in, out, exact)
	return nil, result, length, err
}

// goOn holds a call to what came before it. Of a query nothing is done, so it does not need the PIN that comes next.
func (op *operation) goOn(at stage, out Output) error {
	form := at
	if at == final {
		form = update
	}
	if op.begun && op.form != form {
		return ck.CKR_OPERATION_ACTIVE
	}
	if op.waits && !out.Query {
		return errAuthenticate
	}
	op.begun, op.form = true, form
	return nil
}

// finish does the work of a call. The caller holds s.mu.
func (s *session) finish(k kind, op *operation, at stage, in input, out Output, exact bool) (result []byte,
	length uint64, err error) {
	result, err = op.do(at, in)
	length = uint64(len(result))
	if err == nil && exact && length > out.Room {
		clear(result)
		err = errRoom
	}
	switch {
	case err != nil:
		s.end(k)
		return nil, 0, err
	case length > out.Room: // the same call comes again, with more room
		clear(result)
		return nil, length, s.again(k, op)
	case at != update:
		s.end(k)
	}
	return result, length, nil
}

// errRoom is a bug of a mechanism: what it gave is longer than it said before.
var errRoom = errors.New("a result is longer than was announced")

// again makes an operation ready for the call that it has just done. The caller holds s.mu.
func (s *session) again(k kind, op *operation) error {
	op.engine.end()
	e, err := op.renew()
	if err != nil {
		s.operations[k] = nil
		return err
	}
	op.engine = e
	return ck.CKR_BUFFER_TOO_SMALL
}

func (op *operation) do(at stage, in input) ([]byte, error) {
	switch at {
	case once:
		return op.engine.once(in)
	case update:
		return op.engine.update(in.data)
	}
	return op.engine.final(in)
}

// inProgress says whether the session has an operation that flags name. The caller holds s.mu.
func (s *session) inProgress(named uint64) bool {
	for k, op := range s.operations {
		if op != nil && flagOf[k]&named != 0 {
			return true
		}
	}
	return false
}

// end ends an operation if there is one. The caller holds s.mu.
func (s *session) end(k kind) {
	op := s.operations[k]
	if op == nil {
		return
	}
	s.operations[k] = nil
	if op.engine != nil {
		op.engine.end()
	}
	if op.message != nil {
		op.message.end()
	}
}

// cancel ends the operations that flags name.
func (s *session) cancel(named uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range kinds {
		if flagOf[k]&named != 0 {
			s.end(k)
		}
	}
	if named&ck.CKF_FIND_OBJECTS != 0 {
		s.endSearch()
	}
}

// cancelPrivate ends what needs the login: operations with private keys, and a search, which may have found private
// objects.
func (s *session) cancelPrivate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, op := range s.operations {
		if op != nil && op.private {
			s.end(kind(k))
		}
	}
	s.endSearch()
}

// close ends everything, for good.
func (s *session) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel(everyOperation)
}
