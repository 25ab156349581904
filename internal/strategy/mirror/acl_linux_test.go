package mirror

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/tree"
)

// handsOn gives a directory a default ACL that lets a user read. The file system
// of temporary files is the machine's choice, and not every one has ACLs: no
// installed part would help.
func handsOn(t testing.TB, dir string) {
	t.Helper()
	acl := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range [][3]uint32{{0x01, 7, ^uint32(0)}, {0x02, 5, 33}, {0x04, 5, ^uint32(0)}, {0x10, 7, ^uint32(0)},
		{0x20, 5, ^uint32(0)}} {
		acl = binary.LittleEndian.AppendUint16(acl, uint16(e[0]))
		acl = binary.LittleEndian.AppendUint16(acl, uint16(e[1]))
		acl = binary.LittleEndian.AppendUint32(acl, e[2])
	}
	err := unix.Setxattr(dir, "system.posix_acl_default", acl, 0)
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("no ACLs here")
	}
	check(t, err)
}

// TestInheritedIsKnown: what a file inherits from the directory that it comes
// into is no change of somebody else's.
func TestInheritedIsKnown(t *testing.T) {
	for _, x := range []struct{ name, first, second string }{
		{"dest is new", "", "a=x d/ d/b=y d/e/ d/e/c=z"},
		{"a new directory", "a=x", "a=x d/ d/b=y d/e/ d/e/c=z"},
		{"a new file", "a=x d/", "a=x d/ d/b=y"},
		{"a changed file", "a=x d/ d/b=y", "a=x d/ d/b=z"},
	} {
		t.Run(x.name, func(t *testing.T) {
			top := tempDir(t)
			dest, record := filepath.Join(top, "dest"), filepath.Join(top, "record")
			handsOn(t, top)
			known := tree.NewContents()
			if x.first != "" {
				deployKnown(t, top, x.first, known, Options{})
			}
			deployKnown(t, top, x.second, known, Options{})
			if aclsOf(filepath.Join(dest, "d/b")) == "" {
				t.Fatal("there is no ACL")
			}
			check(t, tree.Save(context.Background(), rootAt(t, dest), tree.Recorded{Contents: known}, record))
			drifts, err := tree.Check(context.Background(), record, rootAt(t, dest),
				func([]byte) (tree.Skip, error) { return nil, nil })
			check(t, err)
			if drifts.Total != 0 {
				t.Errorf("what was deployed just now has changed: %v", drifts.First)
			}
			check(t, os.RemoveAll(dest))
		})
	}
}
