package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/internal/sha256mb"
)

// TestJSON writes rows twice and reads them as a stranger would.
func TestJSON(t *testing.T) {
	b := &bench{}
	b.add(row{"kernel/avx512", 90, "M compressions/s", 12, 7.5, "value / library"})
	b.addTimes("sign/L2/p99", "us", 0.0003, 0.0002, "p50")
	b.addFloor("keygen/H10W8", "ms", 0.11, 8_934_398, &meter{name: "AVX-512", best: 1e-8})
	path := filepath.Join(t.TempDir(), "bench.json")
	for _, rows := range [][]row{{{Name: "older"}}, b.rows} {
		if err := writeJSON(path, rows); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(written, &got); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{
		{"name": "kernel/avx512", "value": 90., "unit": "M compressions/s", "reference": 12., "ratio": 7.5},
		{"name": "sign/L2/p99", "value": 300., "unit": "us", "reference": 200., "ratio": 1.5},
		{"name": "keygen/H10W8", "value": 110., "unit": "ms", "reference": 89.34398, "ratio": 110 / 89.34398},
	}
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i := range want {
		for key, value := range want[i] {
			if !sameJSON(got[i][key], value) {
				t.Errorf("row %d: %s is %v, want %v", i, key, got[i][key], value)
			}
		}
		if got[i]["against"] == "" || len(got[i]) != 6 {
			t.Errorf("row %d has other fields: %v", i, got[i])
		}
	}
}

// sameJSON compares JSON values, numbers up to rounding.
func sameJSON(got, want any) bool {
	a, isNumber := got.(float64)
	b, too := want.(float64)
	return isNumber && too && math.Abs(a-b) < 1e-9*math.Abs(b) || reflect.DeepEqual(got, want)
}

// TestJSONRefusals: what is no number, and a folder that is not there, are errors, and the old file stays.
func TestJSONRefusals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bench.json")
	if err := writeJSON(path, []row{{Name: "good"}}); err != nil {
		t.Fatal(err)
	}
	if err := writeJSON(path, []row{{Ratio: math.NaN()}}); err == nil {
		t.Error("a ratio that is no number was written")
	}
	if written, _ := os.ReadFile(path); !strings.Contains(string(written), "good") {
		t.Errorf("the old rows are gone: %q", written)
	}
	if err := writeJSON(filepath.Join(path, "below"), nil); err == nil {
		t.Error("a file was written below a file")
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	rows := []row{{"open/H20W4", 12.5, "ms", 6400, 12.5 / 6400, "value / generation"}, {"sign/H10W8", 60, "us", 48, 1.25, "value / floor"}}
	if err := printTable(&out, rows); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want 3:\n%s", len(lines), out.String())
	}
	if got := strings.Join(strings.Fields(lines[2]), " "); got != "sign/H10W8 60 48 us 1.250 value / floor" {
		t.Errorf("line %q", got)
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	for _, c := range []struct {
		values  []float64
		percent int
		want    float64
	}{{hundred, 50, 50}, {hundred, 99, 99}, {hundred, 100, 100}, {[]float64{7}, 99, 7}, {[]float64{3, 1, 2}, 50, 2}, {[]float64{2, 1}, 50, 1}} {
		if got := percentile(c.values, c.percent); got != c.want {
			t.Errorf("percentile %d of %d values is %v, want %v", c.percent, len(c.values), got, c.want)
		}
	}
	if hundred[0] != 100 {
		t.Error("the values were sorted in place")
	}
}

func TestRounds(t *testing.T) {
	for _, c := range []struct {
		least, most int
		budget      time.Duration
		want        int
	}{{3, 12, 0, 3}, {3, 12, time.Hour, 12}, {1, 1, time.Hour, 1}} {
		got := 0
		for range rounds(c.least, c.most, c.budget) {
			got++
		}
		if got != c.want {
			t.Errorf("%d rounds of %d to %d, want %d", got, c.least, c.most, c.want)
		}
	}
}

func TestRowOfKernel(t *testing.T) {
	for _, c := range []struct {
		kernel sha256mb.Kernel
		want   string
	}{
		{sha256mb.Kernel{Name: "AVX-512 and SHA-NI"}, "kernel/avx512-shani"},
		{sha256mb.Kernel{Name: "SHA-NI"}, "kernel/shani"},
		{sha256mb.Kernel{Hash: sha256mb.SHAKE256, Name: "AVX2"}, "kernel/shake-avx2"},
	} {
		if got := rowOfKernel(c.kernel); got != c.want {
			t.Errorf("%v %s is row %s, want %s", c.kernel.Hash, c.kernel.Name, got, c.want)
		}
	}
}

func TestParsePeak(t *testing.T) {
	got, err := parsePeak([]byte("Name:\tbench\nVmPeak:\t 9999 kB\nVmHWM:\t    2048 kB\nVmRSS:\t 1024 kB\n"))
	if err != nil || got != 2 {
		t.Errorf("peak of %v MiB, %v; want 2 MiB", got, err)
	}
	if _, err := parsePeak([]byte("VmRSS:\t 1024 kB\n")); err == nil {
		t.Error("a status without a peak has one")
	}
	if got, err := peakResident(); err != nil || got < 1 {
		t.Errorf("this process had %v MiB at most, %v", got, err)
	}
}
