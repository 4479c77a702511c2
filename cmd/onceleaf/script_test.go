package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/daemon"
	"github.com/onceleaf/onceleaf/internal/wire"
	"github.com/onceleaf/onceleaf/token"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"onceleaf": main, "onceleafd": serve})
}

// serve is a daemon for the scripts.
func serve() {
	config, err := token.LoadConfig(os.Getenv)
	if err == nil {
		err = daemon.Run(context.Background(), daemon.Options{Config: config, Version: "test", Getenv: os.Getenv})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitToken)
	}
}

// served waits until a daemon answers in the token directory.
func served(ts *testscript.TestScript, _ bool, _ []string) {
	socket := filepath.Join(ts.Getenv("ONCELEAF_DIR"), "onceleaf.sock")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, _, err := wire.Dial(socket, wire.Hello{Kind: wire.KindOperator})
		if err == nil {
			ts.Check(c.Close())
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no daemon: %v", err)
		}
	}
}

// TestOffline runs what needs no module.
func TestOffline(t *testing.T) { runScripts(t, "testdata/offline", "") }

// TestToken runs this program against the built module.
func TestToken(t *testing.T) {
	module := os.Getenv("ONCELEAF_MODULE")
	if module == "" {
		module = filepath.Join("..", "..", "build", moduleFile)
	}
	module, err := filepath.Abs(module)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(module); err != nil {
		t.Fatalf("run make build first: %v", err)
	}
	runScripts(t, "testdata/token", module)
}

func runScripts(t *testing.T, folder, module string) {
	scripts, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts in %s: %v", folder, err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 folder,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("ONCELEAF_MODULE", module)
			env.Setenv("ONCELEAF_DIR", filepath.Join(env.WorkDir, "tokens"))
			env.Setenv("ONCELEAF_CONF", filepath.Join(env.WorkDir, "onceleaf.toml"))
			if err := os.WriteFile(filepath.Join(env.WorkDir, "onceleaf.toml"), nil, 0o600); err != nil {
				return err
			}
			env.Defer(func() { endDaemons(t, env.WorkDir) })
			return copyExamples(env.WorkDir)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "unhex": unhex, "flip": flip, "keep": keep, "alter": alter, "terminal": terminal,
			"signtimes": signTimes, "wrongtries": wrongTries, "logged": logged, "served": served,
		},
	})
}

// endDaemons stops what libonceleaf.so has started, before its directory goes.
func endDaemons(t *testing.T, dir string) {
	sockets, err := filepath.Glob(filepath.Join(dir, "*", "onceleaf.sock"))
	if err != nil {
		t.Error(err)
	}
	for _, socket := range sockets {
		c, _, err := wire.Dial(socket, wire.Hello{Kind: wire.KindOperator})
		if err != nil {
			continue // none is running
		}
		if rv, _, err := c.Call(wire.Stop, nil); err != nil || rv != ck.CKR_OK {
			t.Errorf("the daemon at %s did not stop well: %v, %v", socket, rv, err)
		}
		_, _ = io.Copy(io.Discard, c.Conn())
		c.Close()
	}
}

// copyExamples gives each script the example of RFC 8554 as rfc.pub, rfc.msg and rfc.msg.sig.
func copyExamples(dir string) error {
	for part, name := range map[string]string{"public": "rfc.pub", "message": "rfc.msg", "signature": "rfc.msg.sig"} {
		if err := decodeFile("testdata/rfc8554-1-"+part+".hex", filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// exits CODE COMMAND... runs a command that must end with this exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if err != nil {
		code = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
}

// signtimes N signs rfc.msg with the key k into 0.sig, 1.sig and so on.
func signTimes(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	for i := range n {
		ts.Check(ts.Exec("onceleaf", "sign", "--key", "k", "--in", "rfc.msg", "--out", fmt.Sprintf("%d.sig", i)))
	}
}

// wrongtries N logs in N times with a PIN that is wrong.
func wrongTries(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	for range n {
		if err := ts.Exec("onceleaf", "list", "--pin-file", "wrong.pin"); err == nil {
			ts.Fatalf("a wrong PIN was right")
		}
	}
}

// logged N PATTERN counts in what the module has logged since the command before, or its daemon since the last logged:
// the one that holds the token writes to stderr, the other has a daemon with a file of its own.
func logged(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: logged N PATTERN")
	}
	text := ts.ReadFile("stderr")
	path := filepath.Join(ts.Getenv("ONCELEAF_DIR"), "onceleafd.log")
	if log, err := os.ReadFile(path); err == nil {
		text += string(log)
		ts.Check(os.Truncate(path, 0)) // who writes appends
	}
	n := strconv.Itoa(len(regexp.MustCompile("(?m)"+args[1]).FindAllString(text, -1)))
	if !regexp.MustCompile("^" + args[0] + "$").MatchString(n) {
		ts.Fatalf("%s times, want %s, in:\n%s", n, args[0], text)
	}
}

// keep stdout|FILE PATTERN VARIABLE puts the first group of the first match into the environment.
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: keep stdout|FILE PATTERN VARIABLE")
	}
	match := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile(args[0]))
	if len(match) < 2 {
		ts.Fatalf("no match for %s", args[1])
	}
	ts.Setenv(args[2], match[1])
}

// alter IN OUT copies a ceremony file and changes one character of its last base64 text: the file stays well-formed.
func alter(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: alter IN OUT")
	}
	text := []byte(ts.ReadFile(args[0]))
	last := regexp.MustCompile(`[A-Za-z0-9+/]{20}[A-Za-z0-9+/=]*"`).FindAllIndex(text, -1)
	if len(last) == 0 {
		ts.Fatalf("no base64 in %s", args[0])
	}
	at := last[len(last)-1][0] + 8
	if text[at] == 'A' {
		text[at] = 'B'
	} else {
		text[at] = 'A'
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), text, 0o600))
}

// unhex IN OUT writes the bytes that a file has in hexadecimal.
func unhex(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: unhex IN OUT")
	}
	ts.Check(decodeFile(ts.MkAbs(args[0]), ts.MkAbs(args[1])))
}

func decodeFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	data, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}

// flip FILE OFFSET changes the lowest bit of one byte; a negative offset counts from the end.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	if at < 0 {
		at += len(data)
	}
	if at < 0 || at >= len(data) {
		ts.Check(fmt.Errorf("%s has %d bytes", args[0], len(data)))
	}
	data[at] ^= 1
	ts.Check(os.WriteFile(path, data, 0o600))
}
