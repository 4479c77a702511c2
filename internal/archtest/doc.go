// Package archtest holds the shape of the project as tests: which package may
// import which, and which function may be called from where. The reasons are in
// docs/design.md.
package archtest
