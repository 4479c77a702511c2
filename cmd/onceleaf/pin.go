package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// PIN lengths that a token takes, in bytes.
const (
	minPIN = 4
	maxPIN = 255
)

// pinSource says where the PIN of one user comes from.
type pinSource struct {
	who      string // "user PIN"
	file     string // value of the flag, "" if not given
	flag     string
	variable string
}

func (inv *invocation) pinSource(who ck.UserType) pinSource {
	if who == ck.CKU_SO {
		return pinSource{"SO PIN", inv.soPINFile, "--so-pin-file", "ONCELEAF_SO_PIN"}
	}
	return pinSource{"user PIN", inv.pinFile, "--pin-file", "ONCELEAF_PIN"}
}

// currentPIN is the PIN to log in with.
func (inv *invocation) currentPIN(who ck.UserType, label string) (string, error) {
	src := inv.pinSource(who)
	if pin, given, err := src.given(); given {
		return pin, err
	}
	return src.ask(fmt.Sprintf("%s of token %s: ", src.who, shown(label)))
}

// newPIN is a PIN to set. On a terminal it is asked for twice.
func (inv *invocation) newPIN(who ck.UserType, label string) (string, error) {
	src := inv.pinSource(who)
	pin, given, err := src.given()
	if !given {
		pin, err = src.askTwice(label)
	}
	if err != nil {
		return "", err
	}
	return pin, src.check(pin)
}

// given is the PIN from the file or the environment; given is false if neither names one.
func (s pinSource) given() (pin string, given bool, err error) {
	if s.file != "" {
		pin, err = firstLine(s.file)
		return pin, true, err
	}
	pin = os.Getenv(s.variable)
	return pin, pin != "", nil
}

func (s pinSource) askTwice(label string) (string, error) {
	pin, err := s.ask(fmt.Sprintf("New %s of token %s: ", s.who, shown(label)))
	if err != nil {
		return "", err
	}
	again, err := s.ask(fmt.Sprintf("The same %s again: ", s.who))
	if err != nil {
		return "", err
	}
	if pin != again {
		return "", refusal("start again; nothing was changed", "the two entries of the %s differ", s.who)
	}
	return pin, nil
}

// check refuses a PIN that no token takes, before the token is touched.
func (s pinSource) check(pin string) error {
	if len(pin) < minPIN || len(pin) > maxPIN {
		return refusal("choose another; nothing was changed", "the %s must have %d to %d bytes", s.who, minPIN, maxPIN)
	}
	return nil
}

// ask reads a PIN from the terminal without showing it.
func (s pinSource) ask(prompt string) (string, error) {
	tty, err := openTTY()
	if err != nil {
		return "", refusal(fmt.Sprintf("give it with %s or %s", s.flag, s.variable), "couldn't ask for the %s: there is no terminal", s.who)
	}
	defer tty.Close()
	// Before the prompt, because people begin to type when they see it.
	show, err := hideTyping(tty)
	if err != nil {
		return "", fmt.Errorf("couldn't hide the %s on the terminal: %w", s.who, err)
	}
	defer show()
	fmt.Fprint(tty, prompt)
	// Not term.ReadPassword, which would hide the typing once more, perhaps after a signal has shown it for good.
	pin, err := bufio.NewReader(tty).ReadString('\n')
	fmt.Fprintln(tty)
	if err != nil && (err != io.EOF || pin == "") {
		return "", fmt.Errorf("couldn't read the %s: %w", s.who, err)
	}
	return strings.TrimRight(pin, "\r\n"), nil
}

// hideTyping turns the terminal's echo off until show is called, or until a signal ends the program. Nobody is logged
// in at that point, so no leaf is in memory.
func hideTyping(tty *os.File) (show func(), err error) {
	fd := int(tty.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	hidden.Lflag |= unix.ICANON | unix.ISIG // by lines, and with the keys that interrupt
	hidden.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &hidden); err != nil {
		return nil, err
	}
	restore := func() { unix.IoctlSetTermios(fd, unix.TCSETS, before) }
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		if s, open := <-signals; open {
			restore()
			fmt.Fprintln(tty)
			os.Exit(128 + int(s.(syscall.Signal)))
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		restore()
	}, nil
}

// firstLine reads the PIN in a file. The file may be a pipe.
func firstLine(path string) (string, error) {
	data, err := readFile(path, 64<<10)
	if err != nil {
		return "", err
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	pin := strings.TrimSuffix(string(line), "\r")
	if pin == "" {
		return "", refusal("put the PIN there, without quotes", "the first line of %s is empty", shown(path))
	}
	return pin, nil
}

// errNoTerminal says that a question could not be put.
var errNoTerminal = errors.New("there is no terminal")

// openTTY opens the terminal that this process belongs to, wherever its streams go.
func openTTY() (*os.File, error) {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "/dev/tty"), nil
}

func hasTerminal() bool {
	tty, err := openTTY()
	if err == nil {
		tty.Close()
	}
	return err == nil
}

// askLine puts a question to the terminal and returns the line typed.
func askLine(question string) (string, error) {
	tty, err := openTTY()
	if err != nil {
		return "", errNoTerminal
	}
	defer tty.Close()
	fmt.Fprint(tty, question)
	var line []byte
	one := make([]byte, 1)
	for {
		n, err := tty.Read(one)
		if n == 0 || err != nil || one[0] == '\n' {
			return strings.TrimSpace(string(line)), nil
		}
		line = append(line, one[0])
	}
}
