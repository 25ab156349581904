package cache

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// All archives of these tests have so many bytes: "archive N".
const archiveSize = 9

func TestTrimToSize(t *testing.T) {
	for _, c := range []struct {
		name string
		size int64
		want string // of both dests, newest first
	}{
		{"none is to be kept", 0, "h g f e d c b a"},
		{"a bound below zero is none", -1, "h+ g+ f+ e+ d+ c+ b+ a+"},
		{"all of it", 8 * archiveSize, "h+ g+ f+ e+ d+ c+ b+ a+"},
		{"a byte too little", 8*archiveSize - 1, "h+ g+ f+ e+ d+ c+ b+ a"},
		{"the oldest of both, first", 6 * archiveSize, "h+ g+ f+ e+ d c+ b+ a"},
		{"what was live before is older than others, and stays", 4 * archiveSize, "h+ g+ f e d c+ b+ a"},
		{"then what was live before", 3 * archiveSize, "h+ g+ f e d c+ b a"},
		{"then what is live, the oldest first", archiveSize, "h+ g f e d c b a"},
		{"nothing fits", archiveSize - 1, "h g f e d c b a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t)
			past(t, s, "/one", "a:1+", "b:2+", "c:3+") // c is live
			past(t, s, "/two", "d:4+", "e:5+", "f:6+", "g:7+", "h:8+")
			for range 2 { // what is as it shall be stays so
				must(t, s.Trim(Bounds{Gone: func(string) bool { return false }, Size: c.size}))
				if got := listed(t, s, ""); got != c.want {
					t.Errorf("left %q, want %q", got, c.want)
				}
			}
			checkFiles(t, s)
		})
	}
}

func TestTrimOfDestsThatAreGone(t *testing.T) {
	s := newStore(t)
	past(t, s, "/there", "a:1+", "b:2+")
	past(t, s, "/gone", "c:3+", "d:3", "e:4+")
	past(t, s, "/gone-too", "f:1+") // another dest has the same archive
	var asked []string
	gone := func(dest string) bool {
		asked = append(asked, dest)
		return strings.HasPrefix(dest, "/gone")
	}
	must(t, s.Trim(Bounds{Gone: gone, Before: time.Now().Add(-time.Hour), Size: 2 * archiveSize}))
	if got := listed(t, s, ""); got != "f e d c b+ a+" {
		t.Errorf("left %q, want the archives of the dest that is there", got)
	}
	if len(asked) != 3 {
		t.Errorf("asked of %q, want each dest once", asked)
	}
	must(t, s.Trim(Bounds{Gone: gone, Before: time.Now().Add(time.Hour), Size: -1}))
	if got := listed(t, s, ""); got != "b+ a+" {
		t.Errorf("left %q, want nothing of dests that are long gone", got)
	}
	checkFiles(t, s)
}

// TestTrimGoesOn checks that an entry that can't be removed keeps no other.
func TestTrimGoesOn(t *testing.T) {
	s := newStore(t)
	past(t, s, "/gone", "a:1+", "b:2+", "c:3+")
	stubborn := filepath.Join(s.dir, "b", archiveName)
	must(t, os.Remove(stubborn))
	must(t, os.MkdirAll(filepath.Join(stubborn, "x"), 0o700)) // no archive, and no empty directory
	must(t, s.Trim(Bounds{Gone: func(string) bool { return true }, Size: -1}))
	if got := listed(t, s, ""); got != "c b a" {
		t.Errorf("left %q", got)
	}
	if _, err := os.Stat(stubborn); err != nil {
		t.Errorf("what is no archive is gone: %v", err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "a", archiveName)); !os.IsNotExist(err) {
		t.Errorf("the archive of a: %v, want %v", err, fs.ErrNotExist)
	}
}
