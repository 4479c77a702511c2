package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
)

// What an application can expect of a token with many objects.
const (
	manyObjects = 10_000
	allowedFind = 1e-3   // s to find one by its label
	allowedOpen = 100e-3 // s from C_Initialize to the first signature, C_Login included
)

// signatureKeys are the names of the keys that testdata/p11.c makes.
var signatureKeys = []string{"ecdsa-p256", "ed25519", "rsa2048"}

// p11 measures what the embedded library offers beside HSS, in turns with SoftHSM, which does the same on the same
// disk.
func (b *bench) p11(ctx context.Context) error {
	if err := b.allCores(); err != nil {
		return err
	}
	ours, theirs, err := b.tokens(ctx)
	if err != nil {
		return err
	}
	for _, key := range signatureKeys {
		if err := b.rate(ctx, "p11/"+key, ours, theirs, "sign", key, "1", "1"); err != nil {
			return err
		}
	}
	if err := b.signInThreads(ctx, ours, theirs); err != nil {
		return err
	}
	return errors.Join(b.rate(ctx, "p11/create", ours, theirs, "create", "400"), b.tenThousand(ctx))
}

// tokens are the program with our library and with SoftHSM, a token in each, and the keys in it.
func (b *bench) tokens(ctx context.Context) (ours, theirs application, err error) {
	program, err := b.compile(ctx, "p11")
	if err != nil {
		return ours, theirs, err
	}
	if ours, err = b.application(program, "libonceleaf-embedded.so", "p11"); err != nil {
		return ours, theirs, err
	}
	if theirs, err = b.softHSM(program, "p11 of softhsm"); err != nil {
		return ours, theirs, err
	}
	for _, a := range []application{ours, theirs} {
		if err := a.prepare(ctx, signatureKeys...); err != nil {
			return ours, theirs, err
		}
	}
	return ours, theirs, nil
}

// prepare makes the token and keys.
func (a application) prepare(ctx context.Context, keys ...string) error {
	if _, err := a.run(ctx, "", "token"); err != nil {
		return err
	}
	for _, key := range keys {
		if _, err := a.run(ctx, "", "key", key); err != nil {
			return err
		}
	}
	return nil
}

// job is what an application is asked to do; it tells how often it did it, and in what time.
type job struct {
	application
	arguments []string
}

// inTurns does the jobs several times, in turns, and tells how often each was done in a second.
func inTurns(ctx context.Context, jobs ...job) ([]float64, error) {
	made, took := make([]float64, len(jobs)), make([]float64, len(jobs))
	for range 5 {
		for i, j := range jobs {
			told, err := j.run(ctx, "", j.arguments...)
			if err != nil {
				return nil, err
			}
			if len(told) != 2 {
				return nil, fmt.Errorf("the application told %v, want two numbers", told)
			}
			made[i] += told[0]
			took[i] += told[1] / 1e9
		}
	}
	for i := range made {
		made[i] /= took[i]
	}
	return made, nil
}

// rate adds a row of how often something is done in a second, as a multiple of SoftHSM.
func (b *bench) rate(ctx context.Context, name string, ours, theirs application, arguments ...string) error {
	rates, err := inTurns(ctx, job{ours, arguments}, job{theirs, arguments})
	if err != nil {
		return err
	}
	b.add(row{name, rates[0], "1/s", rates[1], rates[0] / rates[1], "value / SoftHSM"})
	return nil
}

// signInThreads compares two threads with one; they use one key.
func (b *bench) signInThreads(ctx context.Context, ours, theirs application) error {
	one, two := []string{"sign", "ecdsa-p256", "1", "1"}, []string{"sign", "ecdsa-p256", "1", "2"}
	rates, err := inTurns(ctx, job{ours, one}, job{ours, two}, job{theirs, one}, job{theirs, two})
	if err != nil {
		return err
	}
	against := fmt.Sprintf("value / one thread; SoftHSM: %.0f / %.0f", rates[3], rates[2])
	b.add(row{"p11/ecdsa-p256/threads", rates[1], "1/s", rates[0], rates[1] / rates[0], against})
	return nil
}

// tenThousand fills a token and asks it for one object, and for a signature after a start. The objects lie in the
// system's cache. The median counts.
func (b *bench) tenThousand(ctx context.Context) error {
	a, err := b.application(filepath.Join(b.folder, "p11.program"), "libonceleaf-embedded.so", "p11 many")
	if err != nil {
		return err
	}
	pair := "ecdsa-p256"
	if err := a.prepare(ctx, pair); err != nil {
		return err
	}
	if _, err := a.run(ctx, "", "create", strconv.Itoa(manyObjects-2)); err != nil { // with the pair 10,000
		return err
	}
	times, err := a.run(ctx, "", "find", "1000")
	if err != nil {
		return err
	}
	b.addTimes("p11/find10k", "ms", nanoseconds(times, 50), allowedFind, "what is allowed")
	return b.openFull(ctx, a, pair)
}

func (b *bench) openFull(ctx context.Context, a application, key string) error {
	var all, logins []float64
	for range 11 {
		told, err := a.run(ctx, "", "open", key)
		if err != nil {
			return err
		}
		all, logins = append(all, told[0]), append(logins, told[1])
	}
	against := fmt.Sprintf("what is allowed; argon2id is most of the %.1f ms of C_Login", nanoseconds(logins, 50)*1e3)
	b.addTimes("p11/open10k", "ms", nanoseconds(all, 50), allowedOpen, against)
	return nil
}
