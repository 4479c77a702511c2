package crashtest

import (
	"fmt"
	"slices"

	"github.com/onceleaf/onceleaf/lms"
)

// shape is one kind of key.
type shape struct {
	Levels  []lms.ParameterSet // root first
	Reserve int                // message leaves per durable write; 0: the lower trees live in memory
	Threads int                // that sign with such a key at once
}

// h5 is a tree of 32 leaves, so that keys come to their end, and soon.
var h5 = lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W4}

var shapes = []shape{
	shapeOf(1, 1, 3), shapeOf(1, 4, 2), shapeOf(2, 0, 2), shapeOf(2, 1, 1), shapeOf(2, 8, 2), shapeOf(3, 3, 1),
}

func shapeOf(levels, reserve, threads int) shape {
	return shape{slices.Repeat([]lms.ParameterSet{h5}, levels), reserve, threads}
}

func (s shape) String() string { return fmt.Sprintf("L=%d,n=%d", len(s.Levels), s.Reserve) }

// alone is the shape of a key with which one thread signs.
func (s shape) alone() shape {
	s.Threads = 1
	return s
}

func (s shape) same(o shape) bool { return slices.Equal(s.Levels, o.Levels) && s.Reserve == o.Reserve }

// under is the number of message leaves under one leaf of a level.
func (s shape) under(level int) int {
	n := 1
	for _, set := range s.Levels[level+1:] {
		n *= int(set.Leaves())
	}
	return n
}

func (s shape) capacity() int { return int(s.Levels[0].Leaves()) * s.under(0) }
