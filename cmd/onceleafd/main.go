// Command onceleafd is the Onceleaf daemon: it owns one token directory and serves PKCS#11 to the programs that load
// libonceleaf.so.
package main

import (
	"os"
	"runtime/debug"
)

// heapGrowth is what may be allocated between two collections of garbage, in percent of what lives. With a few MiB that
// live, Go's 100 would collect every few hundred signatures.
const heapGrowth = 800

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}
