package confined

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// anACL is a default ACL that lets a user and, if named, groups in.
func anACL(named bool) ACL {
	const none = ^uint32(0)
	list := [][3]uint32{{tagOwner, 7, none}, {tagGroup, 7, none}, {tagOther, 7, none}}
	if named {
		list = [][3]uint32{
			{tagOwner, 7, none}, {tagUser, 6, 33}, {tagGroup, 5, none}, {tagMask, 7, none}, {tagOther, 1, none},
		}
	}
	acl := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range list {
		acl = binary.LittleEndian.AppendUint16(acl, uint16(e[0]))
		acl = binary.LittleEndian.AppendUint16(acl, uint16(e[1]))
		acl = binary.LittleEndian.AppendUint32(acl, e[2])
	}
	return acl
}

// TestInherit: what inherits an ACL has what the kernel gives to what is made
// in a directory that has it and gets its mode then.
func TestInherit(t *testing.T) {
	for _, named := range []bool{false, true} {
		for _, mode := range []uint32{0o644, 0o600, 0o4755, 0o2711, 0o70} {
			top := t.TempDir()
			dir := dirAt(t, top)
			made := filepath.Join(top, "made")
			must(t, os.Mkdir(made, 0o755))
			acl := anACL(named)
			// The file system of temporary files is the machine's choice, and not
			// every one has ACLs: no installed part would help.
			if err := unix.Setxattr(made, defaultACL, acl, 0); errors.Is(err, unix.EOPNOTSUPP) {
				t.Skip("no ACLs here")
			} else {
				must(t, err)
			}
			for _, place := range []string{made, top} {
				must(t, os.WriteFile(filepath.Join(place, "f"), nil, 0o600))
				must(t, os.Mkdir(filepath.Join(place, "d"), 0o700))
				for _, name := range []string{"f", "d"} {
					must(t, unix.Chmod(filepath.Join(place, name), mode))
				}
			}
			got, err := DefaultACL(dirAt(t, made))
			must(t, err)
			must(t, got.InheritAt(dir, "f"))
			must(t, got.Inherit(dirAt(t, filepath.Join(top, "d"))))
			for _, name := range []string{"f", "d"} {
				want, is := aclsOf(t, filepath.Join(made, name)), aclsOf(t, filepath.Join(top, name))
				if want != is {
					t.Errorf("mode %o, named: %v: %s has\n%q\nwant\n%q", mode, named, name, is, want)
				}
			}
			must(t, ACL(nil).Inherit(dirAt(t, filepath.Join(top, "d"))))
			if got := aclsOf(t, filepath.Join(top, "d")); len(got) > len("0000 ") {
				t.Errorf("without an ACL there is %q", got)
			}
		}
	}
}

// TestUnknownACL: that nobody can tell whether there is an ACL does not mean that
// there is none.
func TestUnknownACL(t *testing.T) {
	const closed = -1
	if err := setACL(closed, accessACL, nil); !errors.Is(err, unix.EBADF) {
		t.Errorf("removing an ACL: %v", err)
	}
	if !HasACL(closed) {
		t.Error("there is no ACL")
	}
	if HasACL(dirAt(t, t.TempDir())) {
		t.Error("a new directory has an ACL")
	}
}

// aclsOf is the mode and the ACLs of a path.
func aclsOf(t *testing.T, path string) string {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	text := string(rune('0'+st.Mode>>9&7)) + string(rune('0'+st.Mode>>6&7)) +
		string(rune('0'+st.Mode>>3&7)) + string(rune('0'+st.Mode&7)) + " "
	for _, name := range []string{accessACL, defaultACL} {
		buf := make([]byte, 256)
		if n, err := unix.Lgetxattr(path, name, buf); err == nil {
			text += name + string(buf[:n])
		}
	}
	return text
}
