package lms

import (
	"testing"

	"github.com/onceleaf/onceleaf/internal/sha256mb"
)

// UseKernel makes all trees of a test use kernel for the hash function that it is for.
func UseKernel(t testing.TB, kernel sha256mb.Kernel) {
	before := kernelFor
	t.Cleanup(func() { kernelFor = before })
	kernelFor = func(hash sha256mb.Hash) sha256mb.Kernel {
		if hash == kernel.Hash {
			return kernel
		}
		return before(hash)
	}
}

// Kept reports whether t has a subtree below the top in memory.
func (t *Tree) Kept(index uint32) bool { return t.below.look(index) != nil }

// TakeBlock takes a block, which the result computes.
func (b *Builder) TakeBlock() (compute func()) {
	w, k := b.NewWork(), b.taken.Add(1)-1
	return func() { w.compute(k) }
}

// KeepTop makes all trees of a test keep so many levels in memory, so that small trees have subtrees below the top.
func KeepTop(t testing.TB, levels int) {
	before := maxTop
	t.Cleanup(func() { maxTop = before })
	maxTop = levels
}
