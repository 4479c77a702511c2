package token

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestLoadConfig(t *testing.T) {
	home := t.TempDir()
	write := func(path, text string) string {
		t.Helper()
		path = filepath.Join(home, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	full := write("full.toml", "directory = \"/a\"\nowner_wait = \"2s\"\n[sign]\nmax_message = 10\n[log]\nlevel = \"warn\"\nfile = \"/l\"\n")
	write("xdg/onceleaf/onceleaf.toml", "directory = \"/xdg\"\n")
	write("plain/.config/onceleaf/onceleaf.toml", "directory = \"/plain\"\n")
	for _, c := range []struct {
		name  string
		env   map[string]string
		check func(Config) bool
	}{
		{"named file", map[string]string{"ONCELEAF_CONF": full}, func(c Config) bool {
			return c.Directory == "/a" && c.OwnerWait == Duration(2*time.Second) && c.Sign.MaxMessage == 10 && c.Log.Level == "warn" && c.Log.File == "/l"
		}},
		{"environment above the file", map[string]string{"ONCELEAF_CONF": full, "ONCELEAF_DIR": "/e", "ONCELEAF_LOG": "debug"}, func(c Config) bool {
			return c.Directory == "/e" && c.Log.Level == "debug" && c.Log.File == "/l"
		}},
		{"XDG_CONFIG_HOME", map[string]string{"XDG_CONFIG_HOME": home + "/xdg", "HOME": home + "/plain"}, func(c Config) bool { return c.Directory == "/xdg" }},
		{"relative XDG_CONFIG_HOME", map[string]string{"XDG_CONFIG_HOME": "xdg", "HOME": home + "/plain"}, func(c Config) bool { return c.Directory == "/plain" }},
		{"defaults", map[string]string{"HOME": home}, func(c Config) bool {
			return c.Directory == home+"/.local/share/onceleaf" && c.OwnerWait == Duration(250*time.Millisecond) &&
				c.Sign.MaxMessage == 64<<20 && c.Log.Level == "off" && c.Log.File == "" && c.KDF == KDF{Time: 1, Memory: 65536, Threads: 4}
		}},
		{"XDG_DATA_HOME", map[string]string{"HOME": home, "XDG_DATA_HOME": "/data"}, func(c Config) bool { return c.Directory == "/data/onceleaf" }},
		{"directory without home", map[string]string{"ONCELEAF_DIR": "/d"}, func(c Config) bool { return c.Directory == "/d" }},
	} {
		config, err := LoadConfig(environment(c.env))
		if err != nil || !c.check(config) {
			t.Errorf("%s: %+v, %v", c.name, config, err)
		}
	}
}

// The tables of the daemon, which the library reads too: it may share the file with one.
func TestDaemonConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "onceleaf.toml")
	load := func(text string, env map[string]string) Config {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		env = maps.Clone(env)
		env["ONCELEAF_CONF"] = path
		c, err := LoadConfig(environment(env))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := load("", map[string]string{"ONCELEAF_DIR": "/d"})
	if c.SocketPath() != "/d/onceleaf.sock" || c.Linger != 0 || !reflect.DeepEqual(c.Daemon, Daemon{Linger: Duration(5 * time.Minute), Autostart: true}) {
		t.Errorf("%+v", c)
	}
	if want := (Limits{256, 128, 1024, 4096, 16, 128 << 20, 512 << 20, 16, 10_000}); c.Limits != want || c.Log.Format != "text" {
		t.Errorf("%+v", c)
	}
	const full = `
directory = "/d"
[daemon]
socket = "/run/o.sock"
mode = "0640"
group = "signers"
allow_uids = [1000, "www"]
allow_gids = ["100"]
idle_exit = "1m"
linger = "0s"
autostart = false
program = "/opt/onceleafd"
[limits]
clients = 1
connections = 2
sessions = 3
objects = 4
session_keys = 5
memory = 6
total_memory = 7
tokens = 8
token_objects = 9
[log]
format = "json"
[pin]
passes = 3
`
	want := Daemon{"/run/o.sock", "0640", "signers", []Account{"1000", "www"}, []Account{"100"}, Duration(time.Minute), 0, false, "/opt/onceleafd"}
	c = load(full, map[string]string{})
	if !reflect.DeepEqual(c.Daemon, want) || c.Limits != (Limits{1, 2, 3, 4, 5, 6, 7, 8, 9}) || c.Log.Format != "json" || c.SocketPath() != "/run/o.sock" ||
		c.KDF != (KDF{3, 64 << 10, 4}) {
		t.Errorf("%+v", c)
	}
	c = load("", map[string]string{"ONCELEAF_DIR": "/d", "ONCELEAF_SOCKET": "/s", "ONCELEAF_DAEMON": "/p", "ONCELEAF_AUTOSTART": "0"})
	if c.SocketPath() != "/s" || c.Daemon.Program != "/p" || c.Daemon.Autostart {
		t.Errorf("%+v", c.Daemon)
	}
	// Who names a directory does not get to the tokens of another one.
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"ONCELEAF_DIR": "/e"}, "/e/onceleaf.sock"},
		{map[string]string{"ONCELEAF_DIR": "/d"}, "/d/onceleaf.sock"},
		{map[string]string{"ONCELEAF_DIR": "/e", "ONCELEAF_SOCKET": "/s"}, "/s"},
		{map[string]string{"ONCELEAF_SOCKET": "/s"}, "/s"},
	} {
		if got := load(full, c.env).SocketPath(); got != c.want {
			t.Errorf("%v: socket %s, want %s", c.env, got, c.want)
		}
	}
	for _, m := range []struct {
		daemon Daemon
		want   os.FileMode
	}{{Daemon{}, 0o600}, {Daemon{Group: "g"}, 0o660}, {Daemon{Mode: "0666"}, 0o666}, {Daemon{Group: "g", Mode: "600"}, 0o600}} {
		if mode, err := m.daemon.SocketMode(); mode != m.want || err != nil {
			t.Errorf("%+v: %o, %v", m.daemon, mode, err)
		}
	}
}

func TestConfigRefusals(t *testing.T) {
	for text, want := range map[string]string{
		"dirctory = \"/a\"":             "dirctory",
		"[sign]\nmax_mesage = 1":        "sign.max_mesage",
		"[kdf]\ntime = 1":               "kdf",
		"KDF = {Time = 1}":              "KDF",
		"owner_wait = \"soon\"":         "soon",
		"owner_wait = \"-1s\"":          "owner_wait",
		"[sign]\nmax_message = 0":       "max_message",
		"[log]\nlevel = \"loud\"":       "loud",
		"directory = 1":                 "directory",
		"[log]\nformat = \"xml\"":       "log.format",
		"[daemon]\nsocket = \"here\"":   "daemon.socket",
		"[daemon]\nmode = \"rw\"":       "daemon.mode",
		"[daemon]\nmode = \"07777\"":    "daemon.mode",
		"[daemon]\nlinger = \"-1s\"":    "daemon.linger",
		"[daemon]\nidle_exit = \"-1s\"": "daemon.idle_exit",
		"[daemon]\nallow_uids = [1.5]":  "neither the name nor the number",
		"[daemon]\nautostart = \"yes\"": "autostart",
		"[daemon]\nautostrat = true":    "daemon.autostrat",
		"[pin]\npasses = 0":             "pin.passes",
		"[pin]\nmemory = 65535":         "pin.memory",
		"[pin]\nmemory = 4194305":       "4194304",
		"[limits]\nclients = 0":         "limits.clients",
		"[limits]\ntotal_memory = -1":   "limits.total_memory",
		"linger = \"1s\"":               "linger",
		"this is not TOML":              "onceleaf.toml",
	} {
		path := filepath.Join(t.TempDir(), "onceleaf.toml")
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadConfig(environment(map[string]string{"ONCELEAF_CONF": path, "HOME": "/d"}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for name, env := range map[string]map[string]string{
		"named file is missing": {"ONCELEAF_CONF": "/nonexistent/onceleaf.toml", "ONCELEAF_DIR": "/d"},
		"no directory":          {},
		"bad level":             {"ONCELEAF_DIR": "/d", "ONCELEAF_LOG": "loud"},
	} {
		if _, err := LoadConfig(environment(env)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestLogFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var c Config
	c.Log.File, c.Log.Level, c.Log.Format = path, "warn", "json"
	log, closer, err := OpenLog(c)
	if err != nil {
		t.Fatal(err)
	}
	log.Warn("loud", "n", 7)
	closer.Close()
	var line struct {
		Message string `json:"msg"`
		N       int    `json:"n"`
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &line)
	}
	if err != nil || line.Message != "loud" || line.N != 7 {
		t.Errorf("%q, %v", text, err)
	}
}

func TestLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var c Config
	c.Log.File, c.Log.Level = path, "off"
	log, closer, err := OpenLog(c)
	if err != nil {
		t.Fatal(err)
	}
	log.Error("not seen")
	closer.Close()
	if _, err := os.Stat(path); err == nil {
		t.Error("a log file was made although the log is off")
	}
	c.Log.Level = "warn"
	log, closer, err = OpenLog(c)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("quiet")
	log.Warn("loud")
	closer.Close()
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), "loud") || strings.Contains(string(text), "quiet") {
		t.Errorf("%q, %v", text, err)
	}
	c.Log.File = "/nonexistent/folder/log"
	if _, _, err := OpenLog(c); err == nil {
		t.Error("a log that cannot be written is no error")
	}
}
