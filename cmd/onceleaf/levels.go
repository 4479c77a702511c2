package main

import (
	"fmt"
	"math"
	"math/bits"
	"strings"

	"github.com/spf13/cobra"

	"github.com/onceleaf/onceleaf/lms"
)

// maxLevels is the most levels an HSS key has (RFC 8554 section 6).
const maxLevels = 8

// parseLevels reads the parameter sets of a key's levels, top first, and refuses what no token can make.
func parseLevels(names []string) ([]lms.ParameterSet, error) {
	if len(names) == 0 || len(names) > maxLevels {
		return nil, refusal("give --level once for each level, top first; "+exampleLevel(), "a key has 1 to %d levels, not %d", maxLevels, len(names))
	}
	sets := make([]lms.ParameterSet, len(names))
	for i, name := range names {
		set, err := lms.ParseParameterSet(name)
		if err != nil {
			return nil, refusal(exampleLevel(), "level %d: %s is no parameter set", i, shown(name))
		}
		if i > 0 && !set.SameHash(sets[0]) {
			return nil, refusal("use one hash function and length on all levels", "level %d (%v) has another hash than level 0 (%v)", i, set, sets[0])
		}
		sets[i] = set
	}
	return sets, nil
}

func exampleLevel() string {
	return "a level is written like LMS_SHA256_M32_H10/LMOTS_SHA256_N32_W4"
}

// signatures is how many messages a new key with these levels can sign, saturating at 2^64-1.
func signatures(sets []lms.ParameterSet) uint64 {
	total := uint64(1)
	for _, set := range sets {
		high, low := bits.Mul64(total, set.Leaves())
		if high != 0 {
			return math.MaxUint64
		}
		total = low
	}
	return total
}

// count puts a number of signatures or leaves into words.
func count(n uint64) string {
	if n == math.MaxUint64 {
		return "more than 2^64"
	}
	return fmt.Sprint(n)
}

// completeLevel offers the parameter sets to the shell, one half of the name after the other.
func completeLevel(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	var offers []string
	for _, set := range lms.ParameterSets() {
		if strings.HasPrefix(set.String(), begun) {
			offers = append(offers, set.String())
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}
