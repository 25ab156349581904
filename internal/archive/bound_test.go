package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
)

// manyOf is an archive of count entries, without its end, as a reader that
// makes each when it is asked for.
func manyOf(count int, entry func(i int) ent) io.Reader {
	return &making{count: count, entry: entry}
}

type making struct {
	i, count int
	entry    func(i int) ent
	rest     []byte
}

func (m *making) Read(p []byte) (int, error) {
	if len(m.rest) == 0 {
		if m.i == m.count {
			return 0, io.EOF
		}
		m.rest = bare(m.entry(m.i))
		m.i++
	}
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

// greedy are entries that make as much of the memory as entries can.
var greedy = map[string]func(i int) ent{
	"implied directories": func(i int) ent {
		return ent{name: fmt.Sprintf("%04d/", i) + strings.Repeat("a/", 997) +
			"f"}
	},
	"long names": func(i int) ent {
		return ent{name: strings.Repeat(strings.Repeat("n", 250)+"/", 15) + fmt.Sprintf("%0200d", i)}
	},
	"long targets": func(i int) ent { return ent{name: strconv.Itoa(i), typ: '2', link: strings.Repeat("t", 4095)} },
	"both": func(i int) ent {
		return ent{name: strings.Repeat(strings.Repeat("n", 250)+"/", 15) + fmt.Sprintf("%0200d", i), typ: '2',
			link: strings.Repeat("t", 4095)}
	},
	"directories": func(i int) ent {
		return ent{name: strings.Repeat("d/", 900) + fmt.Sprintf("%0255d", i), typ: '5', mode: 0o755}
	},
	"short names": func(i int) ent { return ent{name: strconv.Itoa(i)} },
	"one name":    func(i int) ent { return ent{name: "s", typ: '2', link: fmt.Sprintf("%04000d", i)} },
	"hard links": func(i int) ent {
		if i == 0 {
			return ent{name: "f"}
		}
		return ent{name: fmt.Sprintf("%0255d", i), typ: '1', link: "f"}
	},
}

// TestMemoryBound holds that what a scan keeps is bounded by the number of
// entries that are allowed, whatever they are: 16 MiB and 180 bytes for each,
// which with the garbage of a collection is what docs/performance.md promises.
func TestMemoryBound(t *testing.T) {
	const allowed = 20_000
	for name, entry := range greedy {
		t.Run(name, func(t *testing.T) {
			before := heap()
			r := &probing{r: manyOf(10*allowed, entry), every: 8 << 20}
			list, res, err := Scan(t.Context(), r, Options{Limits: Limits{Entries: allowed}}, sinkFunc(nil))
			if list != nil || !errors.Is(err, ErrLimit) || res.Entries > allowed+1 {
				t.Errorf("%d entries, %v", res.Entries, err)
			}
			if most := int64(textSlack + 2<<20 + 180*allowed); r.most-before > most {
				t.Errorf("%d bytes after %d entries, want at most %d", r.most-before, res.Entries, most)
			}
		})
	}
}

// probing looks at the memory in use now and then.
type probing struct {
	r              io.Reader
	n, next, every int64
	most           int64
}

func (p *probing) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if p.n += int64(n); p.n >= p.next {
		p.next += p.every
		p.most = max(p.most, heap())
	}
	return n, err
}

// TestImpliedShareText holds that directories without an entry take the text of
// the path that implies them.
func TestImpliedShareText(t *testing.T) {
	m := newMemory(newRules(Compat), &tally{}, sinkFunc(nil), 0)
	const depth = 900
	for i := range 50 {
		path := strconv.Itoa(i) + strings.Repeat("/a", depth)
		before := m.nodes.count
		check(t, m.symlink(path, "x", meta{}))
		if made := m.nodes.count - before; made != depth+1 {
			t.Fatalf("%d entries made", made)
		}
	}
	text := 0
	seen := map[*byte]bool{}
	for i := range int32(m.nodes.count) {
		e := m.nodes.at(i)
		if p := stringData(e.Path); p != nil && !seen[p] {
			seen[p] = true
			text++
		}
	}
	if text > 50 {
		t.Errorf("%d paths are kept for 50 entries", text)
	}
}

// TestAllowedNames are refused nowhere: names of an ordinary length, as many as
// there may be.
func TestAllowedNames(t *testing.T) {
	const allowed = 100_000
	r := manyOf(allowed-1100, func(i int) ent {
		return ent{name: fmt.Sprintf("srv/app/node_modules/some-package/%03d/dist/esm/internal/%08d.js", i%250, i)}
	})
	list, _, err := Scan(t.Context(), r, Options{Limits: Limits{Entries: allowed}}, sinkFunc(nil))
	if check(t, err); len(list) < allowed-1100 {
		t.Errorf("%d entries", len(list))
	}
}

// BenchmarkGreedy takes time in proportion to the bytes it reads.
func BenchmarkGreedy(b *testing.B) {
	for _, name := range []string{"implied directories", "long names", "both", "hard links"} {
		for _, count := range []int{50, 100, 200} {
			data, err := io.ReadAll(manyOf(count, greedy[name]))
			check(b, err)
			b.Run(fmt.Sprintf("%s/%d", name, count), func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				for b.Loop() {
					_, _, err := Scan(b.Context(), bytes.NewReader(data), Options{}, sinkFunc(nil))
					check(b, err)
				}
			})
		}
	}
}

// BenchmarkDeep unpacks directories of growing depth, each with an entry.
func BenchmarkDeep(b *testing.B) {
	for _, depth := range []int{100, 300, 900} {
		data, err := io.ReadAll(manyOf(depth, func(i int) ent {
			return ent{name: strings.Repeat("d/", i) + "d", typ: '5', mode: 0o755}
		}))
		check(b, err)
		b.Run(strconv.Itoa(depth), func(b *testing.B) {
			for b.Loop() {
				_, err := extractInto(b.Context(), bytes.NewReader(data), b.TempDir(), Options{})
				check(b, err)
			}
		})
	}
}
