package token

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/BurntSushi/toml"
)

// Config is what the operator decides. The file is TOML:
//
//	directory = "/var/lib/onceleaf"  # the token directory
//	owner_wait = "250ms"             # how long to wait for another owner of it
//	[sign]
//	max_message = 67108864           # bytes that C_SignUpdate and C_VerifyUpdate may gather
//	[log]
//	level = "off"                    # off, error, warn, info or debug
//	file = ""                        # empty: standard error
//	format = "text"                  # or "json"
//	[pin]
//	passes = 1                       # of argon2id, over
//	memory = 65536                   # KiB, for PINs that are set from now on
//
// and the tables [daemon] and [limits]. But for limits.tokens and limits.token_objects only the daemon and the library that
// calls it look at these.
type Config struct {
	Directory string   `toml:"directory"`
	OwnerWait Duration `toml:"owner_wait"`
	Sign      struct {
		MaxMessage int64 `toml:"max_message"` // bytes
	} `toml:"sign"`
	Log struct {
		Level  string `toml:"level"`
		File   string `toml:"file"`
		Format string `toml:"format"`
	} `toml:"log"`
	Daemon Daemon `toml:"daemon"`
	Limits Limits `toml:"limits"`

	// Linger is how long the keystore stays open after the last logout, so that the lower trees in memory outlive short
	// programs; 0 closes it at once. The daemon sets it from its table: in a process of the application's nobody is
	// left whom it could serve.
	Linger time.Duration `toml:"-"`

	// KDF is the cost of trying one PIN, for PINs that are set from now on. The file may raise it, and only a test has a
	// reason to lower it.
	KDF KDF `toml:"pin"`
}

// Duration is a time.Duration that is written as text, such as "5s".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

const (
	defaultOwnerWait  = 250 * time.Millisecond // bridges a process that is just ending, and no more
	defaultMaxMessage = 64 << 20               // bytes
	systemConfig      = "/etc/onceleaf/onceleaf.toml"
)

// LoadConfig finds and reads the configuration. The file is the one that ONCELEAF_CONF names, else onceleaf.toml in
// the user's configuration folder, else the one in /etc; without any, the defaults hold. ONCELEAF_DIR, ONCELEAF_LOG,
// ONCELEAF_SOCKET, ONCELEAF_DAEMON (the program) and ONCELEAF_AUTOSTART=0 stand above the file. getenv is os.Getenv, or
// what answers in its place: a library in a foreign process sees the environment of the moment when it was loaded.
func LoadConfig(getenv func(string) string) (Config, error) {
	c := Config{OwnerWait: Duration(defaultOwnerWait), KDF: defaultKDF, Daemon: defaultDaemon, Limits: defaultLimits}
	c.Sign.MaxMessage, c.Log.Level, c.Log.Format = defaultMaxMessage, "off", formatText
	path, err := findConfig(getenv)
	if err != nil {
		return c, err
	}
	if path != "" {
		if err := c.read(path); err != nil {
			return c, fmt.Errorf("couldn't read configuration %s: %w", path, err)
		}
	}
	if err := c.override(getenv); err != nil {
		return c, err
	}
	return c, c.check()
}

// findConfig is the path of the configuration file, empty if there is none.
func findConfig(getenv func(string) string) (string, error) {
	if path := getenv("ONCELEAF_CONF"); path != "" {
		return path, nil // named and missing is an error, not a default
	}
	candidates := []string{systemConfig}
	if folder := baseFolder(getenv, "XDG_CONFIG_HOME", ".config"); folder != "" {
		candidates = append([]string{filepath.Join(folder, "onceleaf", "onceleaf.toml")}, candidates...)
	}
	for _, path := range candidates {
		_, err := os.Stat(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) { // a home that is /dev/null has no folders
			return "", fmt.Errorf("couldn't look for the configuration: %w", err)
		}
	}
	return "", nil
}

// baseFolder is a folder of the XDG base directory specification, empty without a home. Relative paths in the
// variable count as unset there.
func baseFolder(getenv func(string) string, variable, underHome string) string {
	if folder := getenv(variable); filepath.IsAbs(folder) {
		return folder
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, underHome)
	}
	return ""
}

// read takes the file in; a key that is not known is an error, so that a slip of the pen does not pass for a setting.
func (c *Config) read(path string) error {
	meta, err := toml.DecodeFile(path, c)
	if err != nil {
		return err
	}
	unknown := meta.Undecoded()
	if len(unknown) == 0 {
		return nil
	}
	names := make([]string, len(unknown))
	for i, key := range unknown {
		names[i] = key.String()
	}
	return fmt.Errorf("unknown settings: %s", strings.Join(names, ", "))
}

func (c *Config) override(getenv func(string) string) error {
	if directory := getenv("ONCELEAF_DIR"); directory != "" {
		c.Directory = directory
		c.Daemon.Socket = "" // the file's leads to the file's directory, and so to tokens that nobody named
	}
	if level := getenv("ONCELEAF_LOG"); level != "" {
		c.Log.Level = level
	}
	if socket := getenv("ONCELEAF_SOCKET"); socket != "" {
		c.Daemon.Socket = socket
	}
	if program := getenv("ONCELEAF_DAEMON"); program != "" {
		c.Daemon.Program = program
	}
	if getenv("ONCELEAF_AUTOSTART") == "0" {
		c.Daemon.Autostart = false
	}
	if c.Directory != "" {
		return nil
	}
	folder := baseFolder(getenv, "XDG_DATA_HOME", filepath.Join(".local", "share"))
	if folder == "" {
		return errors.New("no token directory: set ONCELEAF_DIR, or directory in the configuration")
	}
	c.Directory = filepath.Join(folder, "onceleaf")
	return nil
}

func (c *Config) check() error {
	if c.Sign.MaxMessage <= 0 {
		return fmt.Errorf("sign.max_message is %d, it must be positive", c.Sign.MaxMessage)
	}
	if c.OwnerWait < 0 {
		return fmt.Errorf("owner_wait is %s, it must not be negative", time.Duration(c.OwnerWait))
	}
	if c.Log.Format != formatText && c.Log.Format != formatJSON {
		return fmt.Errorf("log.format is %q: it is text or json", c.Log.Format)
	}
	_, err := logLevel(c.Log.Level)
	return errors.Join(err, c.Daemon.check(), c.Limits.check(), c.KDF.check())
}
