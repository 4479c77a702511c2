package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/onceleaf/onceleaf/internal/durable"
)

// row is one line of the result. Its ratio is, by the kind of the row:
//
//	kernel/...            value / reference, times the standard library: large is good
//	keygen, sign, verify  value / reference, times the floor: 1 is perfect
//	.../cores             reference / value, one core's time / that of all cores: large is good
//	.../p99 of keys L2    value / reference, times the row's p50
//	.../rss               value / reference, times all nodes of the tree in memory
//	open/...              value / reference, times the generation of the same key
//	front/...             value / reference, times what is wanted or, for init, the embedded library: small is good
//	front/sign            value / reference, times SoftHSM's signatures per second: large is good
//	p11/...               value / reference, times what SoftHSM does in a second: large is good
//	p11/.../threads       value / reference, times one thread: large is good
//	p11/find10k, open10k  value / reference, times what is allowed: small is good
type row struct {
	Name      string  `json:"name"`
	Value     float64 `json:"value"`
	Unit      string  `json:"unit"`      // of value and reference
	Reference float64 `json:"reference"` // what the row is compared with
	Ratio     float64 `json:"ratio"`
	Against   string  `json:"against"` // how the ratio is made, and what the reference is
}

func (b *bench) add(r row) { b.rows = append(b.rows, r) }

// perSecond is how many of a unit are a second.
var perSecond = map[string]float64{"ms": 1e3, "us": 1e6}

// addTimes adds a row that compares two times in seconds.
func (b *bench) addTimes(name, unit string, value, reference float64, against string) {
	scale := perSecond[unit]
	b.add(row{name, value * scale, unit, reference * scale, value / reference, "value / " + against})
}

// addFloor adds a row that compares a time in seconds with the floor of its compressions.
func (b *bench) addFloor(name, unit string, value, compressions float64, m *meter) {
	against := fmt.Sprintf("floor: %s compressions, %s at %.1f M/s", thousands(compressions), m.name, m.rate())
	b.addTimes(name, unit, value, compressions*m.best, against)
}

// thousands is a number of compressions for people.
func thousands(n float64) string {
	if n >= 1e6 {
		return fmt.Sprintf("%.3f M", n/1e6)
	}
	return fmt.Sprintf("%.1f", n)
}

func printTable(w io.Writer, rows []row) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "row\tvalue\treference\tunit\tratio\t  ratio is")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%.5g\t%.5g\t%s\t%.3f\t  %s\n", r.Name, r.Value, r.Reference, r.Unit, r.Ratio, r.Against)
	}
	return t.Flush()
}

// writeJSON replaces the file at path by the rows, an array of objects, and makes its folder.
func writeJSON(path string, rows []row) error {
	encoded, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return fmt.Errorf("couldn't encode the rows: %w", err)
	}
	return durable.Write(path, append(encoded, '\n'), 0o644)
}
