package crashtest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
)

// tally is how often each fault really happened in this run of the tests.
var tally counts

type counts struct {
	mu     sync.Mutex
	number map[string]int // guarded by mu
}

func (c *counts) add(name string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.number == nil {
		c.number = map[string]int{}
	}
	c.number[name] += n
}

func (c *counts) of(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.number[name]
}

// require fails a test whose fault never happened.
func (c *counts) require(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if c.of(name) == 0 {
			t.Errorf("%s: none", name)
		}
		t.Logf("%s: %d", name, c.of(name))
	}
}

// publish appends a line per count to the file of that name, if it has one.
func (c *counts) publish(path string) error {
	if path == "" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	var lines []byte
	for _, name := range slices.Sorted(maps.Keys(c.number)) {
		lines = fmt.Appendf(lines, "%s %d\n", name, c.number[name])
	}
	_, err = file.Write(lines)
	return errors.Join(err, file.Close())
}
