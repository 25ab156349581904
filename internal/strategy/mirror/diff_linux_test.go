package mirror

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/confined"
	"stretcher/internal/testparts"
)

// surroundings are where a trial takes place.
type surroundings struct {
	acls    map[string][]byte // default ACLs of directories that dest has; "..": of the one above it
	overlay bool              // dest is in the lower layer of an overlay
	mounts  []string          // directories of dest that are mounts
}

// surround chooses the surroundings. ACLs tell what has been written anew, so
// that they are the same only where rsync writes what we do.
func (tr *trial) surround(rnd *rand.Rand) {
	kind, s := rnd.IntN(4), &tr.surroundings
	switch {
	case tr.how == quick && (kind > 0 || os.Getuid() != 0):
		s.acls = map[string][]byte{"..": pick(rnd, nil, anACL(rnd))}
	case os.Getuid() == 0: // who alone mounts
		s.overlay = kind == 0
	}
	mounts := kind == 1 && s.acls == nil && os.Getuid() == 0
	for i := range tr.dest {
		n := &tr.dest[i]
		if !n.mode.IsDir() || rnd.IntN(3) > 0 {
			continue
		}
		switch {
		case s.acls != nil:
			s.acls[n.path] = anACL(rnd)
		case mounts:
			isDir := func(o node) bool { return o.path == n.path && o.mode.IsDir() }
			if n.path != "" && slices.ContainsFunc(tr.src, isDir) {
				s.mounts = append(s.mounts, n.path)
			}
		}
	}
}

// anACL makes a default ACL: for some users and groups, or only for those that
// a mode speaks of.
func anACL(rnd *rand.Rand) []byte {
	acl := binary.LittleEndian.AppendUint32(nil, 2)
	entry := func(tag int, id uint32) {
		acl = binary.LittleEndian.AppendUint16(acl, uint16(tag))
		acl = binary.LittleEndian.AppendUint16(acl, uint16(rnd.IntN(8)|tag&1*7)) // the owner has to work there
		acl = binary.LittleEndian.AppendUint32(acl, id)
	}
	const none = 0xffffffff
	users, groups := rnd.IntN(3), rnd.IntN(2)
	entry(0x01, none)
	for i := range users {
		entry(0x02, uint32(33+i))
	}
	entry(0x04, none)
	for i := range groups {
		entry(0x08, uint32(8+i))
	}
	if users+groups > 0 {
		entry(0x10, none)
	}
	entry(0x20, none)
	return acl
}

// begin makes the surroundings. dests are there already, below top, which may
// be another afterwards.
func (tr *trial) begin() {
	for path, acl := range tr.acls {
		for _, dest := range []string{"A", "B"} {
			dir := filepath.Join(tr.path(dest), path)
			if acl != nil {
				check(tr.t, unix.Setxattr(dir, "system.posix_acl_default", acl, 0))
			}
		}
	}
	for _, path := range tr.mounts {
		for _, dest := range []string{"A", "B"} {
			dir := filepath.Join(tr.path(dest), path)
			check(tr.t, unix.Mount(dir, dir, "", unix.MS_BIND, ""))
			tr.t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
		}
	}
	if tr.overlay {
		tr.top = overlay(tr.t, tr.top)
	}
}

// overlay mounts an overlay whose lower layer is dir and whose others are in
// memory, until the test ends.
func overlay(t testing.TB, lower string) string {
	t.Helper()
	dir := tempDir(t)
	mount(t, dir, "size=16m")
	for _, name := range []string{"upper", "work", "merged"} {
		check(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	merged := filepath.Join(dir, "merged")
	options := "lowerdir=" + lower + ",upperdir=" + dir + "/upper,workdir=" + dir + "/work"
	testparts.Mount(t, "overlay", merged, "overlay", 0, options)
	return merged
}

// private makes a directory as runs make theirs, without the ACL that it has
// from where it stands.
func private(t testing.TB, dir string) {
	t.Helper()
	check(t, os.RemoveAll(dir))
	check(t, os.Mkdir(dir, 0o700))
	f, err := os.Open(dir)
	check(t, err)
	defer f.Close()
	check(t, confined.ACL(nil).Inherit(int(f.Fd())))
}

// aclsOf is what a path has of ACLs.
func aclsOf(path string) (text string) {
	for _, name := range []string{"system.posix_acl_access", "system.posix_acl_default"} {
		buf := make([]byte, 512)
		if n, err := unix.Lgetxattr(path, name, buf); err == nil {
			text += " " + name[len("system.posix_"):] + "="
			for at := 4; at+8 <= n; at += 8 {
				text += aclText(buf[at:])
			}
		}
	}
	return text
}

func aclText(entry []byte) string {
	tag := map[uint16]string{1: "u", 2: "user", 4: "g", 8: "group", 16: "m", 32: "o"}[binary.LittleEndian.Uint16(entry)]
	if tag == "user" || tag == "group" {
		tag += string(rune('a' + entry[4]%26))
	}
	return tag + ":" + string(rune('0'+entry[2])) + ","
}

// TestAgainstRsyncAsUser does the same as a user who is in several groups.
func TestAgainstRsyncAsUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	const user = 65533
	exe, dir := asUser(t, user)
	cmd := exec.Command(exe, "-test.run", "TestAgainstRsync$", "-test.v")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+dir, "STRETCHER_DIFF_ROUNDS=60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user, Groups: userGroups}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// userGroups are the groups of the user, beside the first.
var userGroups = []uint32{33, 34}

// asUser makes a copy of this program that a user may run, in a directory of
// theirs.
func asUser(t *testing.T, user int) (exe, dir string) {
	t.Helper()
	dir = tempDir(t)
	check(t, os.Chown(dir, user, user))
	self, err := os.ReadFile("/proc/self/exe")
	check(t, err)
	exe = filepath.Join(dir, "mirror.test")
	check(t, os.WriteFile(exe, self, 0o755))
	return exe, dir
}
