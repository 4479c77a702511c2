package token

import (
	"os"
	"path/filepath"
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
				c.Sign.MaxMessage == 64<<20 && c.Log.Level == "off" && c.Log.File == "" && c.KDF == KDF{Time: 3, Memory: 65536, Threads: 4}
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

func TestConfigRefusals(t *testing.T) {
	for text, want := range map[string]string{
		"dirctory = \"/a\"":       "dirctory",
		"[sign]\nmax_mesage = 1":  "sign.max_mesage",
		"[kdf]\ntime = 1":         "kdf",
		"KDF = {Time = 1}":        "KDF",
		"owner_wait = \"soon\"":   "soon",
		"owner_wait = \"-1s\"":    "owner_wait",
		"[sign]\nmax_message = 0": "max_message",
		"[log]\nlevel = \"loud\"": "loud",
		"directory = 1":           "directory",
		"this is not TOML":        "onceleaf.toml",
	} {
		path := filepath.Join(t.TempDir(), "onceleaf.toml")
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadConfig(environment(map[string]string{"ONCELEAF_CONF": path, "ONCELEAF_DIR": "/d"}))
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
