package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// The modules that are installed with this program: the library that passes calls to a daemon, and the one that holds
// the whole token.
const (
	moduleFile   = "libonceleaf.so"
	embeddedFile = "libonceleaf-embedded.so"
)

// module is a loaded and initialised PKCS#11 module.
type module struct{ lib *pkcs11.Ctx }

// withModule loads the module, runs do, and ends the module whatever do said: an embedded token keeps what is left of
// its lower trees only if C_Finalize is reached.
func (inv *invocation) withModule(do func(*module) error) error {
	m, err := inv.load()
	if err != nil {
		return err
	}
	defer inv.unload(m)
	return do(m)
}

func (inv *invocation) load() (*module, error) {
	path, err := inv.modulePath()
	if err != nil {
		return nil, err
	}
	if err := inv.setEnvironment(); err != nil {
		return nil, err
	}
	lib := pkcs11.New(path)
	if lib == nil {
		return nil, &problem{what: "couldn't load " + shown(path) + ": it is no PKCS#11 module for this system",
			next: "name another file with --module or ONCELEAF_MODULE", exit: exitToken}
	}
	if err := lib.Initialize(); err != nil {
		lib.Destroy()
		return nil, loading.problem(err)
	}
	return &module{lib}, nil
}

// unload ends the module. That it could not end well does not undo what the command did, so it is a warning.
func (inv *invocation) unload(m *module) {
	defer m.lib.Destroy()
	if err := m.lib.Finalize(); err != nil {
		rv, _ := answer(err)
		inv.warn("the module did not end well (%v): the lower trees in use may be burned; no leaf will be used twice", rv)
	}
}

// setEnvironment tells the module which directory to use, and to explain its errors on stderr if nobody chose another
// level. It must be called before the module is loaded.
func (inv *invocation) setEnvironment() error {
	if inv.dir != "" {
		dir, err := filepath.Abs(inv.dir)
		if err != nil {
			return err
		}
		if err := os.Setenv("ONCELEAF_DIR", dir); err != nil {
			return err
		}
	}
	if _, chosen := os.LookupEnv("ONCELEAF_LOG"); chosen {
		return nil
	}
	return os.Setenv("ONCELEAF_LOG", "error")
}

// modulePath is the module to load: what was asked for, or the first of the usual places that holds one.
func (inv *invocation) modulePath() (string, error) {
	if asked := firstOf(inv.module, os.Getenv("ONCELEAF_MODULE")); asked != "" {
		// A name without a folder would be searched for by the loader; a person who names a file means that file.
		path, err := filepath.Abs(asked)
		if err != nil {
			return "", err
		}
		return path, mustBeFile(path)
	}
	for _, path := range usualPlaces() {
		if mustBeFile(path) == nil {
			return path, nil
		}
	}
	return "", &problem{what: "couldn't find " + moduleFile + " or " + embeddedFile + " beside this program or in the system's library folders",
		next: "name it with --module or ONCELEAF_MODULE", exit: exitToken}
}

// usualPlaces lists where a module may have been installed, nearest first; of two in one folder, the one that passes
// calls to a daemon.
func usualPlaces() []string {
	var folders []string
	if self, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(self); err == nil {
			self = real
		}
		bin := filepath.Dir(self)
		folders = append(folders, bin, filepath.Join(bin, "..", "lib"), filepath.Join(bin, "..", "lib", "onceleaf"))
	}
	folders = append(folders, "/usr/local/lib", "/usr/lib", "/usr/lib/onceleaf", "/usr/lib64", "/usr/lib/x86_64-linux-gnu",
		"/usr/lib/aarch64-linux-gnu")
	var places []string
	for _, folder := range folders {
		places = append(places, filepath.Join(folder, moduleFile), filepath.Join(folder, embeddedFile))
	}
	return places
}

func mustBeFile(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a file")
	}
	if err != nil {
		return &problem{what: "couldn't find the module: " + err.Error(),
			next: "name it with --module or ONCELEAF_MODULE", exit: exitToken, err: err}
	}
	return nil
}

func firstOf(choices ...string) string {
	for _, c := range choices {
		if c != "" {
			return c
		}
	}
	return ""
}

// slots lists every slot with what its token says of itself.
func (m *module) slots() ([]slot, error) {
	ids, err := m.lib.GetSlotList(false)
	if err != nil {
		return nil, asking.problem(err)
	}
	slots := make([]slot, len(ids))
	for i, id := range ids {
		slots[i].id = id
		slots[i].token, slots[i].err = m.lib.GetTokenInfo(id)
	}
	return slots, nil
}

// slot is a slot and its token.
type slot struct {
	id    uint
	token pkcs11.TokenInfo
	err   error // why the token does not answer, nil if it does
}

func (s slot) has(flag uint64) bool { return uint64(s.token.Flags)&flag != 0 }

// initialised says whether the slot holds a token that was made and answers.
func (s slot) initialised() bool { return s.err == nil && s.has(ck.CKF_TOKEN_INITIALIZED) }
