// Package crashtest kills a signing process, at random moments and at every
// durable write, and lets a checker that knows only the released signatures say
// whether a leaf signed twice. The worker is the test binary itself, started
// again with a plan in its environment; it dies by SIGKILL, as a process does
// that the kernel ends.
package crashtest
