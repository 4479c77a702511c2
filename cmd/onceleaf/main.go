// Command onceleaf is the operator's tool for Onceleaf tokens: it makes tokens and HSS keys, signs, verifies, takes
// inventory and runs the transfer ceremony.
//
// # Rules of this command line
//
//   - It is a PKCS#11 client and nothing more: whatever it does to a token, any other application can do through the
//     same module. It never opens a token's files, but for check, which reads those of a directory that nobody owns and
//     changes none.
//   - Results go to stdout and are all that goes there; --json makes them machine-readable, with field names that stay.
//     Everything said to a person (prompts, progress, notes, errors) goes to stderr or to the terminal; -q keeps the
//     notes and the progress back, never the errors.
//   - A PIN comes from a prompt on the terminal, from the first line of a file, or from the environment. It is never an
//     argument, because arguments are seen by every process of the machine.
//   - Nothing is overwritten without --force, and whatever can be refused is refused before a leaf is spent: the output
//     is looked at before the token is.
//   - An error says what happened, what is safe, and what to do next. All texts for what a token answers stand in one
//     table (errors.go).
//   - Questions are asked only of a terminal. Without one, the answer is an option or the command refuses.
//   - Text that comes from elsewhere (labels, capsules) is shown quoted, so that it cannot write to the terminal.
//
// The module may be a Go library: two Go runtimes then share this process. So this program does not fork once the
// module is loaded, and has no long loop without a function call.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
