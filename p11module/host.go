package p11module

import (
	"log/slog"
	"os"
	"runtime"
	"sync"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/token"
)

// Host is one opened token directory: what all applications on it share. Each application has a Module of its own.
type Host struct {
	config token.Config
	log    *slog.Logger
	device *token.Device
	said   repeats
}

// makePlaces is for the whole process; GOMAXPROCS in its environment stands above it.
var makePlaces = sync.OnceFunc(func() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(keystore.Places())
	}
})

// OpenHost opens the token directory that the configuration names. Why it could not be opened is the caller's to log;
// ResultOf gives the CK_RV of the error.
func OpenHost(config token.Config, log *slog.Logger) (*Host, error) {
	makePlaces()
	h := &Host{config: config, log: log}
	err := guarded(func() (err error) {
		h.device, err = token.OpenDevice(config, log)
		return err
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// Close parks what can be parked and gives the token directory up. Every module was finalised before.
func (h *Host) Close() error {
	err := guarded(h.device.Close)
	if err != nil {
		h.log.Error("couldn't close the token directory in order", "error", err)
	}
	return err
}

// Log is the log of the token directory.
func (h *Host) Log() *slog.Logger { return h.log }

// Status tells how the tokens are in use.
func (h *Host) Status() []token.Status { return h.device.Status() }

// Limits bound what one application takes of the process that serves it. 0 stands for no bound.
type Limits struct {
	Sessions    int   // CKR_SESSION_COUNT
	Objects     int   // session objects at one token: CKR_DEVICE_MEMORY
	SessionKeys int   // of them HSS private keys: CKR_DEVICE_MEMORY
	Generations int   // calls at one time that build the root tree of a key; more of them wait
	Memory      int64 // bytes of gathered messages, session objects, trees of session keys and searches in all sessions: CKR_DEVICE_MEMORY

	// Claim asks for so many bytes more for what Memory counts, and Release gives back: a bound over several
	// applications. Both or neither are nil.
	Claim   func(bytes int64) bool
	Release func(bytes int64)
}

// NewModule is the module of one application on the host. It is initialised; Finalize ends the application, for good,
// and not the host.
func (h *Host) NewModule(log *slog.Logger, limits Limits) *Module {
	return &Module{hosted: true, library: newLibrary(h, log, limits, true)}
}

// ResultOf is the CK_RV of an error.
func ResultOf(err error) ck.RV { return resultOf(err) }
