package main

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// problem is an error as the operator reads it: what happened, what is safe, what to do next.
type problem struct {
	what string
	safe string // empty if nothing was at stake
	next string // empty if there is nothing to advise
	exit int    // exit code; 0 stands for exitRefused
	err  error  // cause, for errors.Is; nil if there is none
}

func (p *problem) Error() string { return p.what }
func (p *problem) Unwrap() error { return p.err }

// report prints an error and returns the exit code that goes with it. Errors that no part of this program has
// explained come from the command line's own checks.
func report(stderr io.Writer, err error) int {
	var p *problem
	if !errors.As(err, &p) {
		p = &problem{what: err.Error(), next: "see 'onceleaf --help'"}
	}
	fmt.Fprintf(stderr, "onceleaf: %s\n", p.what)
	if p.safe != "" {
		fmt.Fprintf(stderr, "  safe: %s\n", p.safe)
	}
	if p.next != "" {
		fmt.Fprintf(stderr, "  next: %s\n", p.next)
	}
	if p.exit == 0 {
		return exitRefused
	}
	return p.exit
}

// whenDone explains an error that came after the step itself was done, when only its result could not be shown.
func whenDone(err error, safe, next string) error {
	if err == nil {
		return nil
	}
	return &problem{what: err.Error(), safe: safe, next: next, err: err}
}

// act is a step that the token can refuse or fail at, and what then holds.
type act struct {
	name    string // completes "couldn't ..."
	refused string // what holds when the token refused before it began
	failed  string // what holds when the step broke off, its outcome being unknown
}

// The steps, in the order of the commands.
var (
	loading     = act{"start the module", "nothing was changed", "nothing was changed"}
	asking      = act{"read from the token", "nothing was changed", "nothing was changed"}
	loggingIn   = act{"log in", "nothing was changed but the count of wrong tries", "nothing was changed but perhaps the count of wrong tries"}
	makingPINs  = act{"set the PIN", "the PIN is as it was", "the PIN is the old one or the new one; no key and no leaf is lost"}
	makingToken = act{"initialise the token", "no token was made and no other token was touched",
		"the token may have been made; no other token was touched"}
	makingKey  = act{"make the key", "no key was made", "either the whole key pair was made or none of it; 'onceleaf list' tells"}
	signing    = act{"sign", "no leaf was used", "no signature was made; if a leaf was reserved for it, that leaf is burned and will never be used"}
	requesting = act{"make a transfer request", "no request was made", "either a whole request was made or none; it can be made again"}
	giving     = act{"export leaves", "no leaf left this token",
		"no capsule left this token; the leaves may be set aside for this request: export again with the same request and the same capsule comes out"}
	taking        = act{"import the capsule", "no leaf came in, and the capsule can still be imported if it is the right one", "either the whole capsule came in or nothing of it; 'onceleaf list' tells"}
	acknowledging = act{"take in the receipt", "the transfer stays open; its leaves stay given away", "the transfer is open or acknowledged; its leaves stay given away either way"}
)

// explanation is what an answer of the token means.
type explanation struct {
	what   string
	broken bool // the step broke off with an outcome that is not known; otherwise the token refused before it began
	next   string
}

// explanations is the one table from a token's answer to words.
var explanations = map[ck.RV]explanation{
	// People and PINs.
	ck.CKR_PIN_INCORRECT: {what: "the PIN is wrong",
		next: "try again; after ten wrong tries in a row the PIN is locked"},
	ck.CKR_PIN_LOCKED: {what: "the PIN is locked after too many wrong tries",
		next: "the security officer sets a new user PIN with 'onceleaf pin reset'; a locked SO PIN stays locked"},
	ck.CKR_PIN_LEN_RANGE: {what: "a PIN has 4 to 255 bytes",
		next: "choose another PIN"},
	ck.CKR_PIN_INVALID: {what: "the token does not take this PIN",
		next: "choose another PIN"},
	ck.CKR_PIN_EXPIRED: {what: "the PIN has expired",
		next: "set a new one with 'onceleaf pin change'"},
	ck.CKR_USER_PIN_NOT_INITIALIZED: {what: "the token has no user PIN yet",
		next: "the security officer sets it with 'onceleaf pin reset'"},
	ck.CKR_USER_NOT_LOGGED_IN: {what: "this needs the user PIN",
		next: "give the PIN by prompt, --pin-file or ONCELEAF_PIN"},
	ck.CKR_USER_TYPE_INVALID: {what: "the token has no such user",
		next: "check that the module is the Onceleaf module (onceleaf version)"},

	// Tokens and slots.
	ck.CKR_SLOT_ID_INVALID: {what: "there is no such slot",
		next: "'onceleaf list --tokens' shows the slots"},
	ck.CKR_TOKEN_NOT_PRESENT: {what: "the token's store is missing or cannot be opened",
		next: "look at the module's own message above; put the store back, and never start it afresh from an old copy"},
	ck.CKR_TOKEN_NOT_RECOGNIZED: {what: "the token's store is damaged, or a later version wrote it",
		next: "look at the module's own message above; keep the file"},
	ck.CKR_TOKEN_NOT_INITIALIZED: {what: "the slot holds no initialised token",
		next: "make one with 'onceleaf init'"},
	ck.CKR_TOKEN_WRITE_PROTECTED: {what: "the token cannot be written",
		next: "check the rights of the token directory and the space on its disk"},
	ck.CKR_SESSION_EXISTS: {what: "another session is open on the token",
		next: "end the other program that uses it"},
	ck.CKR_SESSION_COUNT: {what: "the token has no session left",
		next: "end other programs that use it"},

	// The machine.
	ck.CKR_HOST_MEMORY: {what: "out of memory", broken: true,
		next: "free memory and try again"},
	ck.CKR_DEVICE_MEMORY: {what: "the token has no room left", broken: true,
		next: "free space on the disk of the token directory and try again"},
	ck.CKR_TOKEN_RESOURCE_EXCEEDED: {what: "the token has not enough resources for this", broken: true,
		next: "free memory or disk space, or choose smaller parameters"},
	ck.CKR_DEVICE_ERROR: {what: "the token's store failed", broken: true,
		next: "look at the module's own message above; check the disk of the token directory before you go on"},
	ck.CKR_DEVICE_REMOVED: {what: "the token's store has gone", broken: true,
		next: "check that the token directory is mounted; put nothing back from an old copy"},
	ck.CKR_GENERAL_ERROR: {what: "the module failed", broken: true,
		next: "look at the module's own message above, or run again with ONCELEAF_LOG=debug"},
	ck.CKR_FUNCTION_FAILED: {what: "the module could not do this; perhaps another process uses the token directory", broken: true,
		next: "look at the module's own message above, which names that process; one process uses a token directory at a time"},
	ck.CKR_FUNCTION_CANCELED: {what: "the step was cancelled", broken: true,
		next: "try again"},
	ck.CKR_CANT_LOCK: {what: "the module cannot work with the locks of this process",
		next: "check that the module is the Onceleaf module (onceleaf version)"},
	ck.CKR_ARGUMENTS_BAD: {what: "the module did not accept its arguments",
		next: "check the configuration file and ONCELEAF_* variables; the module's own message above names the fault"},
	ck.CKR_RANDOM_NO_RNG: {what: "the system gave no randomness", broken: true,
		next: "do not go on with this machine before that is repaired"},

	// Keys and leaves.
	ck.CKR_KEY_EXHAUSTED: {what: "the key has no leaf left for this",
		next: "make a new key with 'onceleaf keygen'; what this one signed can still be verified"},
	ck.CKR_KEY_FUNCTION_NOT_PERMITTED: {what: "the key may not do this: it is quarantined, is kept outside the token, or was made without the right",
		next: "'onceleaf show KEY' shows its status; a quarantined key signs no more until the cause is found, an external one not before it was brought back"},
	ck.CKR_KEY_CHANGED: {what: "the key changed under this operation", broken: true,
		next: "try again"},
	ck.CKR_KEY_HANDLE_INVALID: {what: "the key has gone, or another program removed it",
		next: "'onceleaf list' shows the keys"},
	ck.CKR_OBJECT_HANDLE_INVALID: {what: "the object has gone, or another program removed it",
		next: "'onceleaf list' shows the keys"},
	ck.CKR_KEY_UNEXTRACTABLE: {what: "the key was made without --transferable: its leaves stay here",
		next: "this cannot be changed later; make a key with 'onceleaf keygen --transferable'"},
	ck.CKR_KEY_NOT_WRAPPABLE: {what: "no leaf of this key can be given away",
		next: "'onceleaf show KEY' shows its status, whether it is transferable, and its free leaves"},
	ck.CKR_DATA_LEN_RANGE: {what: "the message is longer than the token accepts",
		next: "raise max_message under [sign] in the configuration file, or sign the message's hash"},
	ck.CKR_TEMPLATE_INCONSISTENT: {what: "the token does not make a key with these parameters",
		next: "'onceleaf keygen --help' names the levels; all levels use one hash function and length"},
	ck.CKR_TEMPLATE_INCOMPLETE: {what: "the token wants more parameters than this program sent",
		next: "check that the program and the module are of the same version (onceleaf version)"},
	ck.CKR_ATTRIBUTE_VALUE_INVALID: {what: "the token does not accept one of the values",
		next: "check the label, the id and the levels"},
	ck.CKR_ATTRIBUTE_TYPE_INVALID: {what: "the token does not know what this program asked for",
		next: "check that the module is the Onceleaf module (onceleaf version)"},
	ck.CKR_MECHANISM_INVALID: {what: "the token does not offer this",
		next: "check that the module is the Onceleaf module (onceleaf version)"},
	ck.CKR_MECHANISM_PARAM_INVALID: {what: "the token does not accept the count or the scheme",
		next: "check --count and --scheme; 'onceleaf show KEY' shows what is free"},
	ck.CKR_FUNCTION_NOT_SUPPORTED: {what: "the module does not offer this",
		next: "check that the module is the Onceleaf module (onceleaf version)"},

	ck.CKR_SIGNATURE_INVALID: {what: "the signature that the token made does not verify", broken: true,
		next: "sign nothing more on this machine before its memory and processor are checked"},

	// Transfers.
	ck.CKR_WRAPPED_KEY_INVALID: {what: "the file is not what this token waits for: it was altered, was made for another request, or has been used already",
		next: "compare the fingerprints on both sides, and fetch the file again from where it was made"},
	ck.CKR_WRAPPED_KEY_LEN_RANGE: {what: "the file is cut short or is not such a file",
		next: "fetch it again from where it was made"},
	ck.CKR_ENCRYPTED_DATA_INVALID: {what: "the capsule was altered, or is sealed for another transfer key",
		next: "compare the fingerprints on both sides, and fetch the capsule again"},
	ck.CKR_WRAPPING_KEY_HANDLE_INVALID: {what: "the transfer request is not usable, or its transfer is closed",
		next: "make a new one at the destination with 'onceleaf transfer request'"},
	ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID: {what: "the transfer key has gone",
		next: "make a new request with 'onceleaf transfer request'; the source can export to it"},
	ck.CKR_BUFFER_TOO_SMALL: {what: "the answer grew while it was made", broken: true,
		next: "run the same command again"},
	ck.CKR_ACTION_PROHIBITED: {what: "the token does not allow this",
		next: "'onceleaf show KEY' shows the key's status and rights"},
	ck.CKR_FUNCTION_REJECTED: {what: "the token rejected this",
		next: "look at the module's own message above"},
}

// problem puts an error of this step into words. Errors that are no answer of a token stay as they are.
func (a act) problem(err error) error {
	if err == nil {
		return nil
	}
	rv, ok := answer(err)
	if !ok {
		return err
	}
	e, known := explanations[rv]
	if !known {
		// An answer without a row may have come from any point of the step, so nothing better than its worst holds.
		e = explanation{what: "the token gave an answer that this program does not know", broken: true,
			next: "run again with ONCELEAF_LOG=debug and look at the module's own message"}
	}
	p := &problem{what: fmt.Sprintf("couldn't %s: %s (%v)", a.name, e.what, rv), safe: a.refused, next: e.next, exit: exitToken, err: rv}
	if e.broken {
		p.safe = a.failed
	}
	return p
}

// begun is the same step once it may have spent something: only the answers named still mean that it did not.
func (a act) begun(err error, notYet ...ck.RV) error {
	if rv, ok := answer(err); ok && !slices.Contains(notYet, rv) {
		a.refused = a.failed
	}
	return a.problem(err)
}

// answer is the token's answer in err, if it is one.
func answer(err error) (ck.RV, bool) {
	var rv ck.RV
	if errors.As(err, &rv) {
		return rv, true
	}
	var foreign pkcs11.Error
	if errors.As(err, &foreign) {
		return ck.RV(foreign), true
	}
	return 0, false
}

// refusal is a problem that this program found by itself.
func refusal(next, what string, args ...any) error {
	return &problem{what: fmt.Sprintf(what, args...), next: next}
}
