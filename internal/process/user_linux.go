package process

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// canDrop tells whether a child can become another user with nothing to be had
// from it. Until it runs its program it has the memory of its parent, which
// nobody may look into unless the kernel has been told to let them.
func canDrop() error {
	return notDumpable("/proc/sys/fs/suid_dumpable")
}

// notDumpable reads what the kernel has been told.
func notDumpable(name string) error {
	value, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("%w: nobody knows whether it could look into who runs this program: %w", ErrUser, err)
	}
	if is := strings.TrimSpace(string(value)); is != "0" && is != "2" {
		return fmt.Errorf("%w: %s is %.10q: it could look into who runs this program", ErrUser, name, is)
	}
	return nil
}

// attributes are those of a child of the user's. It begins a session: it must
// not type into its parent's terminal (TIOCSTI). A caller who is that user
// already has no right to set groups.
func (u *User) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 || int64(u.UID) != int64(os.Geteuid()) {
		attr.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
	}
	return attr
}

// drop takes from the calling thread what a child of the user's must not
// inherit. All of it belongs to the thread, and most of it can't be undone.
func (u *User) drop() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	if err != nil && !errors.Is(err, unix.EINVAL) { // older than Linux 4.3: there are none
		return err
	}
	// A process may read the keys of its session keyring whoever it is. Where
	// the kernel has no keys, or a container may not use them, nor may a child.
	_, err = unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
	if err != nil && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		return err
	}
	return keepDescriptors()
}

// owning starts a child while the user owns what the thread makes. That are the
// pipes to the child, which could not open /dev/stdin, /dev/stdout and
// /dev/stderr if they were another user's.
func (u *User) owning(start func() error) error {
	if os.Geteuid() != 0 {
		return start()
	}
	_, _ = unix.Setfsgid(int(u.GID)), unix.Setfsuid(int(u.UID)) // they tell nothing
	defer func() { _, _ = unix.Setfsuid(0), unix.Setfsgid(os.Getegid()) }()
	return start()
}

// keepDescriptors keeps to this process all that it has open: its parent may
// have left it files that are to go on to children. What is to go on to a child
// is duplicated for it.
func keepDescriptors() error {
	err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if err == nil {
		return nil
	}
	return keepEach() // older than Linux 5.11, or kept from calling it
}

// keepEach is keepDescriptors for one after the other.
func keepEach() error {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, name := range names {
		if fd, err := strconv.Atoi(name.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

func threadID() int { return unix.Gettid() }

// killChildren kills what a thread has forked, the one that it waits for in
// vfork too.
func killChildren(thread int) {
	list, err := os.ReadFile("/proc/self/task/" + strconv.Itoa(thread) + "/children")
	if err != nil { // a kernel without CONFIG_PROC_CHILDREN
		return
	}
	for _, word := range strings.Fields(string(list)) {
		if pid, err := strconv.Atoi(word); err == nil && pid > 1 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
