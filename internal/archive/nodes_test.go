package archive

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

// TestNodes compares with a map, over several sizes of the index and chunks.
func TestNodes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	n, want := newNodes(), map[string]int32{}
	for step := range 20000 {
		path := fmt.Sprintf("dir%d/%s%d", rnd.IntN(50), strings.Repeat("x", rnd.IntN(3)), rnd.IntN(200))
		i, ok := n.find(path)
		if old, known := want[path]; ok != known || ok && i != old {
			t.Fatalf("step %d: %q is %d, %v, want %d, %v", step, path, i, ok, old, known)
		}
		if !ok {
			want[path] = n.add(Entry{Path: n.text.keep(path), Size: int64(step)})
		}
		if e := n.at(want[path]); e.Path != path {
			t.Fatalf("step %d: %q is at the place of %q", step, e.Path, path)
		}
		n.at(want[path]).MTime++
	}
	if len(want) < 10*chunkNodes {
		t.Fatalf("only %d paths", len(want))
	}
	sum, list := int64(0), n.sorted()
	for _, e := range list {
		sum += e.MTime
		delete(want, e.Path)
	}
	if len(want) > 0 || sum != 20000 ||
		!slices.IsSortedFunc(list, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) }) {
		t.Errorf("%d paths are lost, %d of 20000 changes are there, or they are not sorted", len(want), sum)
	}
}

// TestNodesMemory bounds all that is allocated, so that no copies of the
// entries come and go while they grow: each is made twice, the list included.
func TestNodesMemory(t *testing.T) {
	const count, length = 100_000, 60
	if size := unsafe.Sizeof(Entry{}); size > 64 && unsafe.Sizeof(0) == 8 {
		t.Errorf("an entry takes %d bytes, want 64", size)
	}
	paths := make([]string, count)
	for i := range paths {
		paths[i] = fmt.Sprintf("%0*d", length, i)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := newNodes()
	for _, path := range paths {
		n.add(Entry{Path: n.text.keep(path)})
	}
	list := n.sorted()
	runtime.ReadMemStats(&after)
	const index, spare = 2 << 20, 1 << 20
	most := count*(2*uint64(unsafe.Sizeof(Entry{}))+length) + index + spare
	if got := after.TotalAlloc - before.TotalAlloc; got > most || len(list) != count {
		t.Errorf("%d bytes for %d entries, want at most %d", got, len(list), most)
	}
}

func TestTexts(t *testing.T) {
	var x texts
	var kept, want []string
	for i := range 3000 {
		s := strings.Repeat(string(rune('a'+i%26)), i%100)
		if i%500 == 0 {
			s = strings.Repeat("long", textBlock/4+i)
		}
		kept, want = append(kept, x.keep(s)), append(want, s)
	}
	if !slices.Equal(kept, want) {
		t.Error("a later string has changed an earlier one")
	}
	long := strings.Repeat("header", 100)
	if s := x.keep(long[:6]); unsafe.StringData(s) == unsafe.StringData(long) {
		t.Error("it is no copy")
	}
}

// stringData tells strings apart that lie at different places.
func stringData(s string) *byte {
	if s == "" {
		return nil
	}
	return unsafe.StringData(s)
}
