package archive

import (
	"hash/maphash"
	"slices"
	"strings"
)

const (
	chunkNodes = 1024     // entries allocated at a time
	textBlock  = 64 << 10 // bytes of paths and link targets allocated at a time
	minSlots   = 64       // of the index, a power of two
	manyNodes  = 64 << 10 // that take more memory than a collection takes time
)

// nodes are the entries of a scan, numbered as they come and found by path.
// Nothing is ever taken out. Memory is what bounds the trees that can be
// scanned, so that nothing is copied to grow but the index, and that one holds
// numbers alone: a map of strings is five times as large.
type nodes struct {
	chunks [][]Entry
	count  int
	slots  []int32 // by hash of the path: the number, plus one; 0 = free
	seed   maphash.Seed
	text   texts
}

func newNodes() *nodes {
	return &nodes{slots: make([]int32, minSlots), seed: maphash.MakeSeed()}
}

// at is entry i, to be changed in place save for its path.
func (n *nodes) at(i int32) *Entry { return &n.chunks[i/chunkNodes][i%chunkNodes] }

// find gives the number of the entry at path.
func (n *nodes) find(path string) (i int32, ok bool) {
	i = n.slots[n.slot(path)] - 1
	return i, i >= 0
}

// slot is where path stands in the index, or belongs.
func (n *nodes) slot(path string) uint64 {
	mask := uint64(len(n.slots) - 1)
	k := maphash.String(n.seed, path) & mask
	for n.slots[k] != 0 && n.at(n.slots[k]-1).Path != path {
		k = (k + 1) & mask
	}
	return k
}

// add takes in an entry whose path is new, and stays as it is: the caller keeps
// it in text, as what is longer may be kept for a directory on the way to it.
func (n *nodes) add(e Entry) int32 {
	if n.count%chunkNodes == 0 {
		n.chunks = append(n.chunks, make([]Entry, 0, chunkNodes))
	}
	last := &n.chunks[len(n.chunks)-1]
	*last = append(*last, e)
	n.count++
	if n.count*4 > len(n.slots)*3 {
		n.grow()
	} else {
		n.slots[n.slot(e.Path)] = int32(n.count)
	}
	return int32(n.count - 1)
}

func (n *nodes) grow() {
	n.slots = make([]int32, 2*len(n.slots))
	for i := range int32(n.count) {
		n.slots[n.slot(n.at(i).Path)] = i + 1
	}
}

// sorted is all of them by path. It leaves nothing behind: what it has copied
// may be collected while it copies on.
func (n *nodes) sorted() []Entry {
	n.slots, n.text = nil, texts{}
	list := make([]Entry, 0, n.count)
	for i, c := range n.chunks {
		list = append(list, c...)
		n.chunks[i] = nil
	}
	n.chunks = nil
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// texts keeps strings in large blocks, since one allocation each is rounded up.
type texts struct{ block strings.Builder }

// keep is a copy of s.
func (t *texts) keep(s string) string {
	free := t.block.Cap() - t.block.Len()
	if len(s) > free && len(s) > textBlock/16 {
		return strings.Clone(s) // rather than lose what is free
	}
	if len(s) > free {
		t.block.Reset()
		t.block.Grow(textBlock)
	}
	start := t.block.Len()
	t.block.WriteString(s)
	return t.block.String()[start:]
}
