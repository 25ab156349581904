package archive

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"stretcher/internal/archive/members"
)

// sparseFile is an archive of one file with holes, whose data ends it, in the
// formats that GNU tar knows.
func sparseFile(format string, size int64, data string) []byte {
	start := size - int64(len(data))
	if format == "old" {
		b := ent{name: "s", typ: 'S', data: data, gnu: true}.block()
		base256(b[386:398], start)
		copy(b[398:], fmt.Sprintf("%011o\x00", len(data)))
		base256(b[483:495], size)
		return slices.Concat(seal(b), padded(data), make([]byte, 2*blockSize))
	}
	at, length := strconv.FormatInt(start, 10), strconv.Itoa(len(data))
	e := ent{name: "s", data: data, pax: map[string]string{"GNU.sparse.major": "0", "GNU.sparse.minor": format[2:]}}
	switch format {
	case "0.0":
		e.name = "x"
		e.typ = 'x'
		e.pax = nil
		e.data = paxRecord("GNU.sparse.size", fmt.Sprint(size)) + paxRecord("GNU.sparse.numblocks", "1") +
			paxRecord("GNU.sparse.offset", at) + paxRecord("GNU.sparse.numbytes", length)
		return tarOf(e, ent{name: "s", data: data})
	case "0.1":
		e.pax["GNU.sparse.size"], e.pax["GNU.sparse.numblocks"] = fmt.Sprint(size), "1"
		e.pax["GNU.sparse.map"] = at + "," + length
	case "1.0":
		e.pax["GNU.sparse.major"], e.pax["GNU.sparse.name"], e.pax["GNU.sparse.realsize"] = "1", "s", fmt.Sprint(size)
		e.data = string(padded("1\n"+at+"\n"+length+"\n")) + data
	}
	return tarOf(e)
}

var sparseFormats = []string{"old", "0.0", "0.1", "1.0"}

// TestHolesCostNothing counts how often content is read: as often for a hole of
// terabytes as for one of kilobytes.
func TestHolesCostNothing(t *testing.T) {
	for _, format := range sparseFormats {
		for _, size := range []int64{8 << 10, 4 << 40} {
			b := sparseFile(format, size, "tail")
			dir, res, err := unpack(t, b, Options{})
			check(t, err)
			fi, err := os.Stat(dir + "/s")
			check(t, err)
			if fi.Size() != size || res.Bytes != size {
				t.Errorf("%s: %d bytes, counted %d, want %d", format, fi.Size(), res.Bytes, size)
			}
			for name, sink := range map[string]sinkFunc{"skipped": nil, "copied": func(e Entry, c *Content) error {
				f, err := os.Create(dir + "/copy")
				check(t, err)
				defer f.Close()
				return c.CopyTo(f)
			}} {
				if turns := countTurns(t, b, sink); turns > 5 {
					t.Errorf("%s, %s: read %d times", format, name, turns)
				}
			}
		}
	}
}

// countTurns scans b and tells how often that looked at content.
func countTurns(t testing.TB, b []byte, sink Sink) int64 {
	t.Helper()
	rules := newRules(Compat)
	count := &tally{lim: Limits{}.withDefaults()}
	_, err := readInto(t.Context(), bytes.NewReader(b), Options{}, rules, count, newMemory(rules, count, sink, 0))
	check(t, err)
	return count.turns
}

// TestTooLargeForAnything is refused whatever the file system takes.
func TestTooLargeForAnything(t *testing.T) {
	for _, format := range sparseFormats {
		for _, size := range []int64{maxSparse + 1, 1 << 62, 1<<63 - 1} {
			if _, _, err := unpack(t, sparseFile(format, size, "x"), Options{}); !errors.Is(err, ErrLimit) {
				t.Errorf("%s of %d bytes: %v", format, size, err)
			}
		}
	}
}

// TestManyPieces bounds the map of a sparse file.
func TestManyPieces(t *testing.T) {
	var list []string
	for i := range members.MaxPieces + 1 {
		list = append(list, strconv.Itoa(2*i), "1")
	}
	text := fmt.Sprintf("%d\n%s\n", len(list)/2, strings.Join(list, "\n"))
	b := tarOf(ent{name: "s", data: string(padded(text)) + strings.Repeat("x", len(list)/2),
		pax: map[string]string{"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
			"GNU.sparse.realsize": fmt.Sprint(len(list))}})
	if _, _, err := unpack(t, b, Options{}); !errors.Is(err, ErrLimit) {
		t.Errorf("got %v", err)
	}
}

// BenchmarkHole takes the same time for every size.
func BenchmarkHole(b *testing.B) {
	for _, size := range []int64{1 << 20, 1 << 30, 1 << 40} {
		data := sparseFile("1.0", size, "tail")
		b.Run(strconv.FormatInt(size, 10), func(b *testing.B) {
			for b.Loop() {
				dir := b.TempDir()
				_, err := extractInto(b.Context(), bytes.NewReader(data), dir, Options{})
				check(b, err)
			}
		})
	}
}
