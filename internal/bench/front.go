package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/durable"
	"github.com/onceleaf/onceleaf/internal/wire"
)

var (
	built   = flag.String("built", "build", "folder of the libraries and the daemon that are measured")
	softHSM = flag.String("softhsm", "/usr/lib/softhsm/libsofthsm2.so", "SoftHSM's library, which does the same for comparison")
)

// What an application can expect of libonceleaf.so and its daemon.
const (
	allowedMemory = 0.5   // MiB in the application
	allowedStart  = 0.150 // s until a daemon that was not there answers
	allowedCall   = 20e-6 // s of a call that does nothing
)

// application is a C program that uses a PKCS#11 library; testdata/front.c says what it can be asked.
type application struct {
	program string
	library string
	env     []string
	daemon  string // folder of the token whose daemon is to be stopped, or empty
}

// front measures libonceleaf.so from its applications' side, beside the embedded library and SoftHSM. The ratio of
// front/sign is value / reference, times SoftHSM: large is good. The others are value / what is allowed, or value /
// embedded library: small is good.
func (b *bench) front(ctx context.Context) error {
	if err := b.allCores(); err != nil {
		return err
	}
	front, embedded, err := b.applications(ctx)
	if err != nil {
		return err
	}
	defer front.stopDaemon()
	for _, a := range []application{front, embedded} {
		if _, err := a.run(ctx, "", "hss"); err != nil {
			return err
		}
	}
	for _, measure := range []func(context.Context, application, application) error{
		b.frontMemory, b.frontInit, b.frontRoundTrip, b.frontSign, b.frontStart} {
		if err := errors.Join(ctx.Err(), measure(ctx, front, embedded)); err != nil {
			return err
		}
	}
	return front.stopDaemon()
}

// applications compiles the program, and gives it a directory for each library.
func (b *bench) applications(ctx context.Context) (front, embedded application, err error) {
	program, err := b.compile(ctx, "front")
	if err != nil {
		return front, embedded, err
	}
	if front, err = b.application(program, "libonceleaf.so", "front"); err != nil {
		return front, embedded, err
	}
	front.daemon = filepath.Join(b.folder, "front")
	embedded, err = b.application(program, "libonceleaf-embedded.so", "embedded")
	return front, embedded, err
}

// compile makes a program of one of the files in testdata.
func (b *bench) compile(ctx context.Context, name string) (program string, err error) {
	program = filepath.Join(b.folder, name+".program")
	compile := exec.CommandContext(ctx, "gcc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program,
		filepath.Join("internal", "bench", "testdata", name+".c"), "-pthread", "-ldl")
	if text, err := compile.CombinedOutput(); err != nil {
		return "", fmt.Errorf("couldn't compile %s, in the project's folder: %w\n%s", name, err, text)
	}
	return program, nil
}

// application is the program with one of our libraries, and a token directory of its own.
func (b *bench) application(program, library, folder string) (application, error) {
	library, err := filepath.Abs(filepath.Join(*built, library))
	if err != nil {
		return application{}, err
	}
	if folder, err = filepath.Abs(filepath.Join(b.folder, folder)); err != nil {
		return application{}, err
	}
	return application{program: program, library: library, env: []string{
		"ONCELEAF_DIR=" + folder, "ONCELEAF_CONF=" + os.DevNull, "ONCELEAF_LOG=error", "ONCELEAF_SOCKET=", "ONCELEAF_DAEMON="},
	}, durable.MkdirAll(folder, 0o700)
}

func (a application) command(ctx context.Context, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, a.program, append([]string{a.library}, arguments...)...)
	command.Env = append(os.Environ(), a.env...)
	command.Stderr = os.Stderr
	return command
}

// run gives the application its standard input and returns the numbers that it prints.
func (a application) run(ctx context.Context, input string, arguments ...string) ([]float64, error) {
	command := a.command(ctx, arguments...)
	command.Stdin = strings.NewReader(input)
	text, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%s with %s: %w (make build, make deps)", strings.Join(arguments, " "), a.library, err)
	}
	return numbers(string(text))
}

func numbers(text string) (list []float64, err error) {
	for line := range strings.Lines(text) {
		n, err := strconv.ParseFloat(strings.TrimSpace(line), 64)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

// stopDaemon waits until the daemon has left its folder. No daemon is fine.
func (a application) stopDaemon() error {
	client, _, err := wire.Dial(filepath.Join(a.daemon, "onceleaf.sock"), wire.Hello{Kind: wire.KindOperator})
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED) {
		return nil
	}
	if err != nil {
		return err
	}
	defer client.Close()
	rv, _, err := client.Call(wire.Stop, nil)
	if err == nil && rv != ck.CKR_OK {
		err = rv
	}
	if err != nil {
		return fmt.Errorf("couldn't stop the daemon: %w", err)
	}
	_, err = io.Copy(io.Discard, client.Conn())
	return err
}

// frontMemory is what the library costs its application: memory, and neither threads nor signal handlers.
func (b *bench) frontMemory(ctx context.Context, front, embedded application) error {
	var mib [2]float64
	for i, a := range []application{front, embedded} {
		told, err := a.run(ctx, "", "memory")
		if err != nil {
			return err
		}
		if len(told) != 6 {
			return fmt.Errorf("the application told %v, want six numbers", told)
		}
		mib[i] = (told[1] - told[0]) / 1024
		if a.daemon != "" && (told[2] != told[3] || told[4] != told[5]) {
			return fmt.Errorf("the library changed its application: threads %v to %v, caught signals %#x to %#x",
				told[2], told[3], uint64(told[4]), uint64(told[5]))
		}
	}
	against := fmt.Sprintf("value / what is allowed; the embedded library takes %.1f", mib[1])
	b.add(row{"front/rss", mib[0], "MiB", allowedMemory, mib[0] / allowedMemory, against})
	return nil
}

// frontInit is C_Initialize while the daemon runs for somebody else.
func (b *bench) frontInit(ctx context.Context, front, embedded application) error {
	var p50 [2]float64
	for i, a := range []application{front, embedded} {
		times, err := a.run(ctx, strings.Repeat("\n", 200), "initialize")
		if err != nil {
			return err
		}
		p50[i] = nanoseconds(times, 50)
	}
	b.addTimes("front/init", "ms", p50[0], p50[1], "C_Initialize of the embedded library")
	return nil
}

// nanoseconds is a percentile of times in nanoseconds, in seconds.
func nanoseconds(times []float64, percent int) float64 { return percentile(times, percent) / 1e9 }

// frontRoundTrip is a call of which nearly all is the way to the daemon and back.
func (b *bench) frontRoundTrip(ctx context.Context, front, _ application) error {
	times, err := front.run(ctx, "", "roundtrip", "20000")
	if err != nil {
		return err
	}
	b.addTimes("front/roundtrip", "us", nanoseconds(times, 50), allowedCall, "what is allowed")
	b.addTimes("front/roundtrip/p99", "us", nanoseconds(times, 99), nanoseconds(times, 50), "p50")
	return nil
}

// frontStart is C_Initialize without a daemon: the library starts one.
func (b *bench) frontStart(ctx context.Context, front, _ application) error {
	command := front.command(ctx, "initialize")
	lines, err := command.StdinPipe()
	if err != nil {
		return err
	}
	told, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	var times []float64
	for range 20 {
		if err := front.stopDaemon(); err != nil {
			return err
		}
		var ns float64
		if _, err := fmt.Fprintln(lines); err != nil {
			return err
		}
		if _, err := fmt.Fscan(told, &ns); err != nil {
			return fmt.Errorf("the application gave up: %w", errors.Join(err, command.Wait()))
		}
		times = append(times, ns)
	}
	if err := errors.Join(lines.Close(), command.Wait()); err != nil {
		return err
	}
	b.addTimes("front/start", "ms", nanoseconds(times, 50), allowedStart, "what is allowed")
	return nil
}

// frontSign is two threads that sign 32 bytes with one key, in turns with SoftHSM's ECDSA over P-256.
func (b *bench) frontSign(ctx context.Context, front, embedded application) error {
	other, err := b.softHSM(front.program, "softhsm")
	if err != nil {
		return err
	}
	if _, err := other.run(ctx, "", "ecdsa"); err != nil {
		return err
	}
	apps := []application{front, other, embedded}
	made, took := make([]float64, len(apps)), make([]float64, len(apps))
	for range 5 {
		for i, a := range apps {
			told, err := a.run(ctx, "", "sign", "2", "2")
			if err != nil {
				return err
			}
			if len(told) != 2 {
				return fmt.Errorf("the application told %v, want two numbers", told)
			}
			made[i] += told[0]
			took[i] += told[1] / 1e9
		}
	}
	ours, theirs, inside := made[0]/took[0], made[1]/took[1], made[2]/took[2]
	against := fmt.Sprintf("value / SoftHSM's ECDSA P-256, both with 2 threads; the embedded library: %.0f", inside)
	b.add(row{"front/sign", ours, "1/s", theirs, ours / theirs, against})
	return nil
}

// softHSM is the program with SoftHSM and a token directory of its own.
func (b *bench) softHSM(program, folder string) (application, error) {
	folder, err := filepath.Abs(filepath.Join(b.folder, folder))
	if err != nil {
		return application{}, err
	}
	tokens, config := filepath.Join(folder, "tokens"), filepath.Join(folder, "softhsm2.conf")
	if err := durable.MkdirAll(tokens, 0o700); err != nil {
		return application{}, err
	}
	if err := durable.Write(config, []byte("directories.tokendir = "+tokens+"\nlog.level = ERROR\n"), 0o600); err != nil {
		return application{}, err
	}
	return application{program: program, library: *softHSM, env: []string{"SOFTHSM2_CONF=" + config}}, nil
}
