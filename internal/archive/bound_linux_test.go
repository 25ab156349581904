package archive

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive/members"
	"stretcher/internal/testparts"
)

// TestDeepOpens bounds how often directories are opened while deep ones are
// unpacked and finished, with entries in the order that is the worst for it.
func TestDeepOpens(t *testing.T) {
	const depth, branches = 200, 10
	for name, entry := range map[string]func(i int) ent{
		"branch by branch": func(i int) ent {
			return ent{name: strconv.Itoa(i/depth) + strings.Repeat("/d", 1+i%depth), typ: '5', mode: 0o755}
		},
		"in turn": func(i int) ent {
			return ent{name: strconv.Itoa(i%branches) + strings.Repeat("/d", 1+i/branches), typ: '5', mode: 0o755}
		},
		"hard links in turn": func(i int) ent {
			dir := strconv.Itoa(i%2) + strings.Repeat("/d", depth)
			if i < 2 {
				return ent{name: dir + "/f"}
			}
			return ent{name: strconv.Itoa(1-i%2) + strings.Repeat("/d", depth) + "/" + strconv.Itoa(i), typ: '1', link: dir +
				"/f"}
		},
	} {
		dir := t.TempDir()
		root, err := os.OpenRoot(dir)
		check(t, err)
		defer root.Close()
		count, rules := &tally{lim: Limits{}.withDefaults()}, newRules(Compat)
		tree, err := newTree(root, 0o755, count.imply)
		check(t, err)
		defer tree.close()
		if fd, err := unix.Openat2(tree.walk.Root(), ".", &unix.OpenHow{}); err != nil {
			testparts.Missing(t, "no openat2: %v", err)
		} else {
			_ = unix.Close(fd)
		}
		x := &disk{tree: tree, rules: rules, tally: count, dirs: make(map[string]meta)}
		_, err = readInto(t.Context(), manyOf(depth*branches, entry), Options{}, rules, count, x)
		check(t, err)
		if n, most := tree.walk.Opens()+tree.from.Opens(), 12*depth*branches; n > most {
			t.Errorf("%s: %d opens for %d entries, want at most %d", name, n, depth*branches, most)
		}
	}
}

// TestTooLargeForFile asks for the room before anything is read.
func TestTooLargeForFile(t *testing.T) {
	fd, err := unix.MemfdCreate("sealed", unix.MFD_ALLOW_SEALING)
	check(t, err)
	f := os.NewFile(uintptr(fd), "sealed")
	defer f.Close()
	_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_GROW)
	check(t, err)
	count := &tally{}
	c := &Content{x: &reader{tally: count}, size: 1 << 40, sparse: true, pieces: []members.Piece{{Start: 4096, Size: 1}}}
	if err := c.CopyTo(f); !errors.Is(err, unix.EPERM) || count.turns != 0 {
		t.Errorf("%v after %d turns", err, count.turns)
	}
}
