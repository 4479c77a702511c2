package softhsmtests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	settings "github.com/onceleaf/onceleaf/token"
)

// Configurations that the C reader of libonceleaf.so and the daemon's own must understand in the same way. What the
// first does not understand it refuses; it never takes another meaning.
var places = []struct {
	name    string
	text    string
	refused bool // by C: these are for the daemon's reader alone
}{
	{name: "empty"},
	{name: "all", text: "directory = \"/d\"\n[daemon]\nsocket = \"/s/x.sock\"\nprogram = \"/p/onceleafd\"\nautostart = false\n"},
	{name: "literal strings", text: "directory = '/d'\n[daemon]\nsocket = '/s'\nprogram='/p'\nautostart=true"},
	{name: "space", text: "  directory\t=   \"/with space\"   # comment\n\n[ daemon ]\n  socket = \"/s\"#x\n"},
	{name: "comments", text: "# directory = \"/no\"\ndirectory = \"/yes # no comment\"\n[daemon] # here\nautostart = false # off\n"},
	{name: "other keys", text: "owner_wait = \"1m\"\ndirectory = \"/d\"\n[sign]\nmax_message = 1000\n[daemon]\nmode = \"0660\"\nallow_uids = [\"root\", 7]\nlinger = \"0s\"\nsocket = \"/s\"\n[log]\nlevel = \"off\"\n"},
	{name: "other tables", text: "[log]\nfile = \"/directory = x\"\n[daemon]\nsocket = \"/s\"\n[limits]\nclients = 3\n"},
	{name: "lists over lines", text: "[daemon]\nallow_uids = [\n  \"root\", # socket = \"/no\"\n  7,\n]\nsocket = \"/s\"\n"},
	{name: "windows lines", text: "directory = \"/d\"\r\n[daemon]\r\nsocket = \"/s\"\r\n"},
	{name: "bytes beyond ASCII", text: "directory = \"/größe\"\n"},
	{name: "quoted key", text: "\"directory\" = \"/d\"\n", refused: true},
	{name: "dotted key", text: "daemon.socket = \"/s\"\n", refused: true},
	{name: "inline table", text: "daemon = { socket = \"/s\" }\n", refused: true},
	{name: "escape", text: "directory = \"/d\\u0041\"\n", refused: true},
	{name: "multi-line string", text: "directory = \"\"\"/d\"\"\"\n", refused: true},
	{name: "wrong type", text: "directory = 7\n"},
	{name: "no string end", text: "directory = \"/d\n"},
	{name: "twice", text: "directory = \"/a\"\ndirectory = \"/b\"\n"},
	{name: "relative socket", text: "[daemon]\nsocket = \"s\"\n"},
	{name: "wrong truth", text: "[daemon]\nautostart = yes\n"},
}

// The environments in which each of them is read.
var surroundings = []map[string]string{
	{"HOME": "/h"},
	{"HOME": "/h", "XDG_DATA_HOME": "/data", "XDG_CONFIG_HOME": "/nowhere"},
	{"HOME": "/h", "XDG_DATA_HOME": "relative"},
	{"HOME": "/h", "ONCELEAF_DIR": "/from/environment"},
	{"HOME": "/h", "ONCELEAF_SOCKET": "/from/environment.sock", "ONCELEAF_DAEMON": "/bin/sh", "ONCELEAF_AUTOSTART": "0"},
	{"HOME": "/h", "ONCELEAF_DIR": "/from/environment", "ONCELEAF_SOCKET": "/from/environment.sock"},
	{"HOME": "", "XDG_DATA_HOME": "/data"},
}

func TestHostPlace(t *testing.T) {
	program := compile(t, "place", "-D_GNU_SOURCE", "-I", filepath.Join("..", "cgo", "embedded"))
	compared := 0
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			for _, environment := range surroundings {
				path := writeConfig(t, p.text)
				getenv := func(name string) string {
					if name == "ONCELEAF_CONF" {
						return path
					}
					return environment[name]
				}
				compared += comparePlace(t, inC(t, program, path, environment), getenv, p.refused)
			}
		})
	}
	if compared == 0 {
		t.Error("nothing was compared")
	}
}

// TestSocketAlone: who names the socket needs to name no directory, but then nobody can be started.
func TestSocketAlone(t *testing.T) {
	program := compile(t, "place", "-D_GNU_SOURCE", "-I", filepath.Join("..", "cgo", "embedded"))
	environment := map[string]string{"HOME": "", "ONCELEAF_SOCKET": "/run/here.sock", "ONCELEAF_DAEMON": "/bin/sh"}
	got := inC(t, program, os.DevNull, environment)
	if want := "\n/run/here.sock\n/bin/sh\nfalse"; strings.Join(got, "\n") != want {
		t.Errorf("C reads %q, want %q", got, want)
	}
	delete(environment, "ONCELEAF_SOCKET")
	if got := inC(t, program, os.DevNull, environment); got[0] != "error" {
		t.Errorf("without the socket C reads %q", got)
	}
}

// inC is what the library makes of a configuration.
func inC(t *testing.T, program, config string, environment map[string]string) []string {
	t.Helper()
	command := exec.Command(program)
	command.Env = []string{"ONCELEAF_CONF=" + config, "ONCELEAF_LOG=off"}
	for name, text := range environment {
		command.Env = append(command.Env, name+"="+text)
	}
	command.Stderr = os.Stderr
	return strings.Split(strings.TrimSuffix(string(value(command.Output())(t)), "\n"), "\n")
}

// comparePlace holds it against what the daemon makes of it, and returns 1 if there was something to compare.
func comparePlace(t *testing.T, got []string, getenv func(string) string, refused bool) int {
	t.Helper()
	config, err := settings.LoadConfig(getenv)
	switch isError := got[0] == "error"; {
	case isError && (err != nil || refused):
		return 0
	case isError:
		t.Errorf("C refuses what Go reads as %+v", config)
		return 0
	case err != nil:
		t.Errorf("C reads %q, and Go says: %v", got, err)
		return 0
	}
	socket := config.SocketPath()
	program := config.Daemon.Program
	if program == "" && len(got) == 4 {
		program = got[2] // C looks around for one
	}
	autostart := map[bool]string{true: "true", false: "false"}[config.Daemon.Autostart]
	want := []string{config.Directory, socket, program, autostart}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("C reads %q, Go %q", got, want)
	}
	return 1
}
