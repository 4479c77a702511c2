package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/onceleaf/onceleaf/internal/ck"
)

func TestFirstLine(t *testing.T) {
	for content, want := range map[string]string{
		"1234":           "1234",
		"1234\n":         "1234",
		"1234\r\n5678\n": "1234",
		" 12 34 \nx":     " 12 34 ", // blanks belong to the PIN
		"":               "",        // refused
		"\n1234\n":       "",        // refused
	} {
		path := filepath.Join(t.TempDir(), "pin")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		pin, err := firstLine(path)
		if pin != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v; want %q", content, pin, err, want)
		}
	}
}

func TestPINSources(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(file, []byte("from the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ONCELEAF_PIN", "user, environment")
	t.Setenv("ONCELEAF_SO_PIN", "SO, environment")
	tests := []struct {
		inv  invocation
		who  ck.UserType
		want string
	}{
		{invocation{}, ck.CKU_USER, "user, environment"},
		{invocation{}, ck.CKU_SO, "SO, environment"},
		{invocation{pinFile: file}, ck.CKU_USER, "from the file"},
		{invocation{pinFile: file}, ck.CKU_SO, "SO, environment"},
		{invocation{soPINFile: file}, ck.CKU_SO, "from the file"},
	}
	for _, test := range tests {
		if pin, err := test.inv.currentPIN(test.who, "label"); err != nil || pin != test.want {
			t.Errorf("%+v: got %q, %v; want %q", test.inv, pin, err, test.want)
		}
	}
	inv := invocation{pinFile: file + " that is not there"}
	if pin, err := inv.currentPIN(ck.CKU_USER, "label"); err == nil {
		t.Errorf("a missing --pin-file fell back to %q", pin)
	}
}

func TestNewPINsHaveALength(t *testing.T) {
	for _, pin := range []string{"123", strings.Repeat("1", 256)} {
		t.Setenv("ONCELEAF_PIN", pin)
		if _, err := (&invocation{}).newPIN(ck.CKU_USER, "label"); err == nil {
			t.Errorf("a PIN of %d bytes was accepted", len(pin))
		} else if strings.Contains(reported(err), pin) {
			t.Error("the message shows the PIN")
		}
	}
}

// TestNoPINInArguments walks all commands: what takes a PIN takes a file's name.
func TestNoPINInArguments(t *testing.T) {
	var seen int
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, word := range strings.Fields(c.Flags().FlagUsages() + c.PersistentFlags().FlagUsages()) {
			if strings.HasPrefix(word, "--") && strings.Contains(strings.ToLower(word), "pin") {
				seen++
				if !strings.HasSuffix(word, "-file") {
					t.Errorf("%s has the flag %s", c.CommandPath(), word)
				}
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk((&invocation{}).root())
	if seen < 3 {
		t.Errorf("only %d flags about PINs seen: the test looks in the wrong place", seen)
	}
}
