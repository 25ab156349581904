//go:build unix && !linux

package process

import (
	"fmt"
	"syscall"
)

// canDrop tells whether a child can become another user with nothing to be had
// from it.
func canDrop() error {
	return fmt.Errorf("%w: this system can't keep a program from gaining privileges again", ErrUser)
}

func (u *User) attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

func (u *User) drop() error { return canDrop() }

func (u *User) owning(start func() error) error { return start() }

func threadID() int { return 0 }

func killChildren(int) {}
