package p11module

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/token"
)

// What C_GetInfo and C_GetSlotInfo tell.
const (
	manufacturer = "Onceleaf"
	description  = "Onceleaf HSS/LMS token"
)

var (
	cryptokiVersion = Version{3, 2}

	// LibraryVersion is the version of this module.
	LibraryVersion = Version{0, 1}
)

// Initialize is C_Initialize; args is nil for a NULL pointer. The locking it asks for is always there, so the flags
// matter only where they forbid something: this module makes threads, and it cannot lock by the application's mutex
// functions alone. CKR_FUNCTION_FAILED if another process owns the token directory: the log names it.
func (m *Module) Initialize(args *InitializeArgs) ck.RV {
	if m.hosted || m.initialised() { // without waiting, and making others wait, for the calls under way
		return ck.CKR_CRYPTOKI_ALREADY_INITIALIZED
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.library != nil {
		return ck.CKR_CRYPTOKI_ALREADY_INITIALIZED
	}
	if rv := args.check(); rv != ck.CKR_OK {
		return rv
	}
	err := m.open()
	if err == nil {
		return ck.CKR_OK
	}
	if rv := resultOf(err); rv == ck.CKR_FUNCTION_FAILED {
		return rv
	}
	return ck.CKR_GENERAL_ERROR // among those that the standard lists for C_Initialize
}

func (m *Module) initialised() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.library != nil
}

// check holds the arguments to PKCS#11 section 5.4.
func (a *InitializeArgs) check() ck.RV {
	switch {
	case a == nil:
		return ck.CKR_OK
	case a.Reserved || a.Callbacks != 0 && a.Callbacks != 4:
		return ck.CKR_ARGUMENTS_BAD
	case a.Flags&ck.CKF_LIBRARY_CANT_CREATE_OS_THREADS != 0:
		return ck.CKR_NEED_TO_CREATE_THREADS
	case a.Callbacks == 4 && a.Flags&ck.CKF_OS_LOCKING_OK == 0:
		return ck.CKR_CANT_LOCK
	}
	return ck.CKR_OK
}

// open loads the configuration and opens the token directory. What fails is logged, as far as the log can be opened.
func (m *Module) open() error {
	config, err := token.LoadConfig(m.getenv)
	if err != nil {
		config.Log.File = "" // of a configuration that is wrong somewhere, only the environment is taken
		config.Log.Level = m.getenv("ONCELEAF_LOG")
	}
	if m.configure != nil {
		m.configure(&config)
	}
	log, file, logErr := token.OpenLog(config)
	if err == nil {
		err = logErr
	}
	var host *Host
	if err == nil {
		host, err = OpenHost(config, log)
	}
	if err != nil {
		log.Error("couldn't open the token directory", "directory", config.Directory, "error", err)
		return errors.Join(err, file.Close())
	}
	m.library, m.logFile = newLibrary(host, log, Limits{}, false), file
	return nil
}

func newLibrary(host *Host, log *slog.Logger, limits Limits, shared bool) *library {
	l := &library{
		host: host, log: log, limits: limits, shared: shared, memory: &memory{limits: limits},
		sessions: map[ck.SessionHandle]*session{}, gates: map[ck.SlotID]*sync.Mutex{}, seats: map[*token.Token]*token.Seat{},
	}
	l.handles.most = limits.Objects
	if limits.Generations > 0 {
		l.turns = make(chan struct{}, limits.Generations)
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// Finalize is C_Finalize; reserved says whether pReserved is not NULL. It ends long operations, waits for every call
// under way, closes all sessions and logs out. A module with a host of its own then parks what can be parked and gives
// the token directory up.
func (m *Module) Finalize(reserved bool) ck.RV {
	if reserved {
		return ck.CKR_ARGUMENTS_BAD
	}
	m.Cancel()
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.library
	if l == nil {
		return ck.CKR_CRYPTOKI_NOT_INITIALIZED
	}
	m.library = nil
	err := guarded(func() error { l.leave(); return nil })
	if !m.hosted {
		err = errors.Join(err, l.host.Close())
		_ = m.logFile.Close() // nobody is left to be told
	}
	if err != nil {
		return ck.CKR_GENERAL_ERROR
	}
	return ck.CKR_OK
}

// Cancel ends the long operations of the application, for good: nothing that can take long works after it but
// Finalize.
func (m *Module) Cancel() {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.library != nil {
		m.library.cancelAll()
	}
}

func (l *library) cancelAll() {
	l.cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, seat := range l.seats {
		seat.Cancel()
	}
}

// GetInfo is C_GetInfo.
func (m *Module) GetInfo() (info Info, rv ck.RV) {
	rv = m.run("C_GetInfo", func(*library) error {
		info = Info{CryptokiVersion: cryptokiVersion, Manufacturer: manufacturer, Description: description, LibraryVersion: LibraryVersion}
		return nil
	})
	return info, rv
}
