//go:build cgo && amd64

package sha256mb

import (
	"bytes"
	"reflect"
	"runtime/debug"
	"testing"
)

// TestWorkForgets: after a batch, of one turn or of many, no value of it is left in the memory that the next one gets.
func TestWorkForgets(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection would empty the pool
	everyKernel(t, func(t *testing.T, k Kernel, n int) {
		if k.Name == "portable" {
			return
		}
		for _, count := range []int{1, 34, 600} {
			batch := make([]Chain, count)
			for c := range batch {
				batch[c] = Chain{I: uint16(c), From: SeedStep, To: SeedStep + 200}
			}
			k.New([16]byte{1}, n).Chains(batch, stream("seed", n), make([]byte, count*n))
			work := works.Get()
			if value := left(work, "value"); !bytes.Equal(value, make([]byte, len(value))) {
				t.Errorf("values of %d chains are left over", count)
			}
			works.Put(work)
		}
	})
}

// left is a field of the lanes of a work.
func left(work any, field string) []byte {
	v := reflect.ValueOf(work).Elem().FieldByName("lanes").FieldByName(field)
	bytes := make([]byte, v.Len())
	for i := range bytes {
		bytes[i] = byte(v.Index(i).Uint())
	}
	return bytes
}
