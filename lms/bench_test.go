package lms_test

import (
	"testing"

	"github.com/onceleaf/onceleaf/lms"
)

// benchmarked are the sets of the benchmarks: the usual one, and its counterpart of the other family.
var benchmarked = []lms.ParameterSet{
	{LMS: lms.LMS_SHA256_M32_H10, OTS: lms.LMOTS_SHA256_N32_W8},
	{LMS: lms.LMS_SHA256_M24_H10, OTS: lms.LMOTS_SHA256_N24_W8},
	{LMS: lms.LMS_SHA256_M32_H10, OTS: lms.LMOTS_SHA256_N32_W4},
	{LMS: lms.LMS_SHA256_M24_H10, OTS: lms.LMOTS_SHA256_N24_W4},
	{LMS: lms.LMS_SHAKE_M32_H10, OTS: lms.LMOTS_SHAKE_N32_W8},
}

func BenchmarkNewTree(b *testing.B) {
	for _, set := range benchmarked {
		b.Run(set.String(), func(b *testing.B) {
			for b.Loop() {
				labelledTree(b, set, "benchmark")
			}
		})
	}
}

func BenchmarkSignLeaf(b *testing.B) {
	for _, set := range benchmarked {
		b.Run(set.String(), func(b *testing.B) {
			tree, message, randomizer := labelledTree(b, set, "benchmark"), make([]byte, 32), make([]byte, set.N())
			b.ReportAllocs()
			q := uint32(0)
			for b.Loop() {
				if _, err := tree.SignLeaf(nil, q%1024, randomizer, message); err != nil {
					b.Fatal(err)
				}
				q++
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, set := range benchmarked {
		b.Run(set.String(), func(b *testing.B) {
			tree, message := labelledTree(b, set, "benchmark"), make([]byte, 32)
			key, signature := tree.PublicKey(), signLeaf(b, tree, 1023, message)
			b.ReportAllocs()
			for b.Loop() {
				if err := key.Verify(message, signature); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
