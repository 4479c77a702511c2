// Package crashtest breaks a signing process in every way it can think of, and
// lets a checker that knows only what was released say whether a leaf signed
// twice, and whether a crash cost more than the documentation allows.
//
// The worker is the test binary itself, started again with a plan in its
// environment. It writes a line for all that leaves it: signatures, capsules, and
// what its keys say they have left. The checker reads those lines and nothing
// else. Between the two stand the faults: kill -9 at random moments, each durable
// write lost or done under an error or a death, each system call on the store
// failed once (by strace), and the power cut at each point of a life, which drops
// what was not synced.
package crashtest
