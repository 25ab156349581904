package process

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// onThread runs what changes a thread on one that ends with it.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}

// TestAmbientCapabilitiesGo: root's own commands (run_as: root), and those of a
// caller who is not root, would inherit them.
func TestAmbientCapabilitiesGo(t *testing.T) {
	u := stranger(t)
	onThread(func() {
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		if err := unix.Capget(&header, &data[0]); err != nil {
			t.Error(err)
			return
		}
		data[0].Inheritable |= 1 << unix.CAP_CHOWN
		err := unix.Capset(&header, &data[0])
		if err == nil {
			err = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_CHOWN, 0, 0)
		}
		if err != nil {
			t.Errorf("raise an ambient capability: %v", err)
			return
		}
		if err := u.drop(); err != nil {
			t.Error(err)
		}
		is, err := unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, unix.CAP_CHOWN, 0, 0)
		if is != 0 || err != nil {
			t.Errorf("it is set: %d, %v", is, err)
		}
	})
}

func TestSessionKeyringIsAnother(t *testing.T) {
	onThread(func() {
		before, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
		if err != nil {
			t.Skipf("there are no keys here: %v", err)
		}
		if err := (&User{}).drop(); err != nil {
			t.Error(err)
		}
		after, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
		if after == before || err != nil {
			t.Errorf("the session keyring stays %d: %v", after, err)
		}
	})
}

// TestNotDumpable: where nobody can tell that the kernel lets no others look into
// what changes its user, nothing becomes another user.
func TestNotDumpable(t *testing.T) {
	dir := t.TempDir()
	for value, good := range map[string]bool{"0\n": true, "2\n": true, "1\n": false, "": false, "3": false} {
		name := filepath.Join(dir, "dumpable")
		if err := os.WriteFile(name, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := notDumpable(name); (err == nil) != good || err != nil && !errors.Is(err, ErrUser) {
			t.Errorf("%q: %v", value, err)
		}
	}
	if err := notDumpable(filepath.Join(dir, "none")); !errors.Is(err, ErrUser) {
		t.Errorf("none: %v", err)
	}
}

func TestRootByAnotherName(t *testing.T) {
	for name, good := range map[string]bool{"root": true, "0": true, "toor": false, "00": false} {
		if err := (&User{}).calledRoot(name); (err == nil) != good {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (&User{UID: 1}).calledRoot("app"); err != nil {
		t.Error(err)
	}
}

func TestPowers(t *testing.T) {
	none := uint32(1<<31 - 7) // of no group
	for _, test := range []struct {
		user User
		want int
	}{
		{User{UID: 1, GID: 0}, 1}, {User{UID: 1, GID: none, Groups: []uint32{0, none, 0}}, 1},
		{User{UID: 1, GID: none}, 0}, {User{UID: 0, GID: 0}, 0},
	} {
		groups := slices.Clone(test.user.Groups)
		if got := test.user.Powers(); len(got) != test.want || !slices.Equal(groups, test.user.Groups) {
			t.Errorf("%+v: %q", test.user, got)
		}
	}
}
