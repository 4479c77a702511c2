// Package worker runs the built library in processes of its own, for tests.
//
// PKCS#11 knows one token directory per process, and a test that crashes, restarts or forks needs processes it can
// spare. So the test binary starts itself again as a worker: TestMain calls Main first, which serves when the process
// was started by Start and else returns. The two speak JSON-RPC over the worker's standard input and output, one method
// per PKCS#11 call (and Operate for all that encrypt, decrypt, digest, sign and verify), through
// github.com/miekg/pkcs11. The worker is the application; it holds nothing but the handles that it passes on.
//
// Calls may be made from many goroutines at once and then reach the library from as many threads. Errors of the library
// are ck.RV values. A worker that died answers every call with an error that is none.
package worker
