package token

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/onceleaf/onceleaf/internal/durable"
)

// The forms of a line in the log.
const (
	formatText = "text"
	formatJSON = "json"
)

// levelOff is above every level that is used.
const levelOff = slog.Level(100)

func logLevel(name string) (slog.Level, error) {
	switch name {
	case "off":
		return levelOff, nil
	case "error":
		return slog.LevelError, nil
	case "warn":
		return slog.LevelWarn, nil
	case "info":
		return slog.LevelInfo, nil
	case "debug":
		return slog.LevelDebug, nil
	}
	return levelOff, fmt.Errorf("log level %q: it is off, error, warn, info or debug", name)
}

// OpenLog makes the logger that the configuration asks for. Nothing is opened when the level is off. The caller
// closes the closer, which is never nil.
func OpenLog(c Config) (*slog.Logger, io.Closer, error) {
	level, err := logLevel(c.Log.Level)
	if err != nil || level == levelOff {
		return slog.New(slog.DiscardHandler), io.NopCloser(nil), err
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Log.File == "" {
		return slog.New(logHandler(os.Stderr, c.Log.Format, options)), io.NopCloser(nil), nil
	}
	file, err := durable.Append(c.Log.File, 0o600)
	if err != nil {
		return slog.New(slog.DiscardHandler), io.NopCloser(nil), fmt.Errorf("couldn't open the log: %w", err)
	}
	return slog.New(logHandler(file, c.Log.Format, options)), file, nil
}

func logHandler(w io.Writer, format string, options *slog.HandlerOptions) slog.Handler {
	if format == formatJSON {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}
