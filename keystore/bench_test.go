package keystore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/onceleaf/onceleaf/lms"
)

var (
	setH15W4 = lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H15, OTS: lms.LMOTS_SHA256_N32_W4}
	setH10W4 = lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H10, OTS: lms.LMOTS_SHA256_N32_W4}
)

// BenchmarkBatches signs on one thread with a store on disk, with batches of n
// leaves (docs/performance.md). n = 0: the lower trees live in memory.
func BenchmarkBatches(b *testing.B) {
	for _, shape := range []struct {
		name   string
		levels []lms.ParameterSet
		sizes  []uint64
	}{
		{"L1-H15W4", []lms.ParameterSet{setH15W4}, []uint64{1, 2, 4, 8, 16, 64, 256, 1024}},
		{"L2-H10H10W4", []lms.ParameterSet{setH10W4, setH10W4}, []uint64{0, 1, 2, 4, 8, 16, 64, 256, 1024}},
	} {
		d := newDesk(b, newBolt(b, filepath.Join(b.TempDir(), "t.db")))
		for _, n := range shape.sizes {
			b.Run(fmt.Sprintf("%s/n=%d", shape.name, n), func(b *testing.B) {
				id, err := d.Generate(context.Background(), Spec{Levels: shape.levels, Reserve: n})
				if err != nil {
					b.Fatal(err)
				}
				before := d.info(id).Generation
				for b.Loop() {
					if _, err := d.Sign(context.Background(), id, make([]byte, 1024)); err != nil {
						b.Fatal(errors.Join(err, errors.New("fewer signatures, please: -benchtime")))
					}
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "signatures/s")
				b.ReportMetric(float64(d.info(id).Generation-before)/float64(b.N), "writes/signature")
			})
		}
	}
}
