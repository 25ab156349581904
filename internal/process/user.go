package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// User is whom a child runs as.
//
// A child that has one gains nothing from its parent: its identity and its
// groups are the user's, no program gives it others (no_new_privs), it has no
// ambient capability, no terminal and no session of its parent's, none of its
// parent's keys, no descriptor but the first three, which it may open again by
// name, and a working directory that has been named, or /.
type User struct {
	Name     string
	UID, GID uint32
	Groups   []uint32 // all that it is in, as the group database has them
	Home     string
}

// UserTimeout ends a child of another user's that has no Timeout: any process of
// that user's can stop it for ever.
const UserTimeout = time.Hour

// ErrUser: there is no such user, or the caller can't run children as it.
var ErrUser = errors.New("can't run programs as this user")

// LookupUser finds a user in the user database of this machine, by name or by
// number: in /etc/passwd and /etc/group, else by getent(1). A caller who is not in
// it has whatever name the environment says, so that no name but root's own is
// taken for root's.
func LookupUser(name string) (*User, error) {
	found, err := user.Lookup(name)
	if errors.As(err, new(user.UnknownUserError)) {
		if _, number := strconv.ParseUint(name, 10, 32); number == nil {
			found, err = user.LookupId(name)
		}
	}
	var groups []string
	if err == nil {
		groups, err = found.GroupIds()
	} else if other, its := askGetent(name); other != nil {
		found, groups, err = other, its, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUser, err)
	}
	u, err := newUser(found, groups)
	if err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrUser, name, err)
	}
	return u, u.calledRoot(name)
}

// calledRoot refuses another name for root.
func (u *User) calledRoot(name string) error {
	if u.UID == 0 && name != "root" && name != "0" {
		return fmt.Errorf("%w: %q is root by another name", ErrUser, name)
	}
	return nil
}

// powerful are groups whose members can become root, or read what is root's
// alone, as systems commonly have them.
const powerful = "root docker podman lxd incus libvirt disk shadow sudo wheel admin kmem"

// Powers are the groups of a user other than root by which he gains what
// only root should have.
func (u *User) Powers() (names []string) {
	if u.UID == 0 {
		return nil
	}
	for _, gid := range slices.Compact(slices.Sorted(slices.Values(append([]uint32{u.GID}, u.Groups...)))) {
		id := strconv.FormatUint(uint64(gid), 10)
		name := ""
		if group, err := user.LookupGroupId(id); err == nil {
			name = group.Name
		}
		if gid == 0 || slices.Contains(strings.Fields(powerful), name) {
			names = append(names, cmp.Or(name, id))
		}
	}
	return names
}

// newUser reads the numbers of a user.
func newUser(found *user.User, groups []string) (u *User, err error) {
	u = &User{Name: found.Username, Home: found.HomeDir}
	if u.UID, err = number(found.Uid); err != nil {
		return nil, err
	}
	if u.GID, err = number(found.Gid); err != nil {
		return nil, err
	}
	for _, id := range groups {
		gid, err := number(id)
		if err != nil {
			return nil, err
		}
		u.Groups = append(u.Groups, gid)
	}
	return u, nil
}

// number reads the number of a user or a group. The last there could be stands
// for none in system calls.
func number(id string) (uint32, error) {
	n, err := strconv.ParseUint(id, 10, 32)
	if err == nil && n == math.MaxUint32 {
		err = strconv.ErrRange
	}
	return uint32(n), err
}

// Allowed tells whether a caller may run children as the user.
func (u *User) Allowed(caller int) error {
	if caller != 0 && int64(u.UID) != int64(caller) {
		return fmt.Errorf("%w: %q is not who runs this program, and only root can become another user", ErrUser, u.Name)
	}
	return canDrop()
}

// Environ are the variables that tell a child who it is.
func (u *User) Environ() []string {
	return []string{"HOME=" + u.Home, "USER=" + u.Name, "LOGNAME=" + u.Name}
}

// runApart is Run as the command's user, on a thread that nobody uses before or
// after: what it has let go of, it can't get back.
func runApart(ctx context.Context, c Command) (res Result, err error) {
	thread, begun, ended := make(chan int, 1), make(chan struct{}), make(chan struct{})
	var panicked any
	go func() {
		defer close(ended)
		defer func() { panicked = recover() }() // the caller's to deal with
		runtime.LockOSThread()                  // it ends with the goroutine
		thread <- threadID()
		if err = c.User.drop(); err != nil {
			res.Exit, err = -1, fmt.Errorf("become user %q: %w", c.User.Name, err)
			close(begun)
			return
		}
		cmd := c.asUser()
		res, err = run(ctx, c, cmd, func() error {
			defer close(begun)
			return c.User.owning(cmd.Start)
		})
	}()
	late := c.free(ctx, <-thread, begun)
	<-ended
	if panicked != nil {
		panic(panicked)
	}
	if late && err != nil {
		stopped := context.Cause(ctx) != nil
		if !stopped {
			res.TimedOut, res.Limit = true, c.Timeout
		}
		err = verdict(ctx, res, stopped, err)
	}
	return res, err
}

// free waits until a child has begun to run its program. Before it does, it is
// the user's already, who may stop it for ever, and its parent's thread with it.
// One that has not begun when its time is over is killed; that is told.
func (c Command) free(ctx context.Context, thread int, begun <-chan struct{}) (late bool) {
	var timeout <-chan time.Time
	if c.Timeout > 0 {
		timer := time.NewTimer(c.Timeout)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-begun:
		return false
	case <-timeout:
	case <-ctx.Done():
	}
	tick := time.NewTicker(groupPoll)
	defer tick.Stop()
	for {
		select {
		case <-begun:
			return late
		case <-tick.C:
			late = true
			killChildren(thread)
		}
	}
}

// asUser is the child as the command's user has it. It gets pipes, and never a
// file of the caller's, which might be a terminal.
func (c Command) asUser() *exec.Cmd {
	same := equal(c.Stdout, c.Stderr)
	if c.Stdin != nil {
		c.Stdin = struct{ io.Reader }{c.Stdin}
	}
	if c.Stdout != nil {
		c.Stdout = &struct{ io.Writer }{c.Stdout}
	}
	if same {
		c.Stderr = c.Stdout
	} else if c.Stderr != nil {
		c.Stderr = &struct{ io.Writer }{c.Stderr}
	}
	cmd := c.fromRoot().plain()
	cmd.SysProcAttr = c.User.attributes()
	return cmd
}

// enter goes to a directory, and becomes a program.
const enter = `cd -- "$1" || exit; shift; exec "$@"`

// fromRoot is the command as it begins in the root directory with a shell, and goes
// to its own directory and program from there. Before a child runs a program it
// has all that its parent has open, and the parent's working directory: a way
// through /proc/self leads there, past directories that the user may not enter.
func (c Command) fromRoot() Command {
	if c.Dir != "" || c.Path != "sh" {
		dir, err := filepath.Abs(cmp.Or(c.Dir, "/"))
		if err != nil {
			dir = "/" // there is no directory that it could be in
		}
		c.Args = append([]string{"-c", enter, "sh", dir, c.Path}, c.Args...)
		c.Path, c.Argv0 = "sh", ""
	}
	c.Dir = "/"
	return c
}

// equal tells whether two writers are the same, as package exec does.
func equal(a, b io.Writer) bool {
	defer func() { _ = recover() }() // they can't be compared, and are not
	return a == b
}
