package strategytest

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	defaultACL = "system.posix_acl_default"
	accessACL  = "system.posix_acl_access"
)

// testACL: what is deployed has the ACLs that it would have if it had been made
// where it is, not those of where it was staged.
func testACL(t *testing.T, w *World) {
	if runtime.GOOS != "linux" || w.Case.Replaces {
		t.Skip("ACLs are kept on Linux, in directories that stay")
	}
	letIn := func(dir string, user uint32) {
		err := unix.Setxattr(dir, defaultACL, aclFor(user), 0)
		if errors.Is(err, unix.EOPNOTSUPP) {
			t.Skip("no ACLs here")
		}
		must(t, err)
	}
	const above, inDest = 33, 34
	letIn(w.Base, above)
	wants := func(where string, tree files, users ...uint32) {
		s, err := w.Deploy(tree, nil)
		must(t, err)
		for path := range tree {
			path = filepath.Join(s.Live(), path)
			if got := usersOf(path, accessACL); !slices.Equal(got, users) {
				t.Errorf("%s: %q lets in users %v, want %v", where, path, got, users)
			}
		}
		if got := usersOf(filepath.Join(s.Live(), "dir"), defaultACL); !slices.Equal(got, users) {
			t.Errorf("%s: a directory hands on users %v, want %v", where, got, users)
		}
	}
	wants("above a new dest", files{"new": "1", "dir/sub/new": "1"}, above)
	if w.Case.Once {
		return
	}
	must(t, os.RemoveAll(w.Dest))
	must(t, os.Mkdir(w.Dest, 0o755))
	must(t, unix.Removexattr(w.Dest, defaultACL))
	wants("above dest", files{"new": "1", "dir/sub/new": "1"})
	must(t, os.RemoveAll(w.Dest))
	must(t, os.Mkdir(w.Dest, 0o755))
	letIn(w.Dest, inDest)
	wants("of dest", files{"new": "1", "dir/sub/new": "1"}, inDest)
	if !w.Case.Beside {
		must(t, unix.Removexattr(filepath.Join(w.Dest, "dir"), defaultACL))
		must(t, os.RemoveAll(filepath.Join(w.Dest, "dir/sub")))
		wants("of no directory in dest", files{"dir/new": "2", "dir/sub/new": "2"})
	}
}

// aclFor is an ACL that lets a user in, beside those that a mode speaks of.
func aclFor(user uint32) []byte {
	acl := binary.LittleEndian.AppendUint32(nil, 2)
	const none = ^uint32(0)
	for _, e := range [][3]uint32{{1, 7, none}, {2, 7, user}, {4, 5, none}, {16, 7, none}, {32, 5, none}} {
		acl = binary.LittleEndian.AppendUint16(acl, uint16(e[0]))
		acl = binary.LittleEndian.AppendUint16(acl, uint16(e[1]))
		acl = binary.LittleEndian.AppendUint32(acl, e[2])
	}
	return acl
}

// usersOf are those that an ACL names.
func usersOf(path, name string) (users []uint32) {
	buf := make([]byte, 512)
	n, _ := unix.Getxattr(path, name, buf)
	for at := 4; at+8 <= n; at += 8 {
		if binary.LittleEndian.Uint16(buf[at:]) == 2 {
			users = append(users, binary.LittleEndian.Uint32(buf[at+4:]))
		}
	}
	return users
}
