//go:build !linux

package releases

import "errors"

// attackForever needs another user's rights, by means of Linux.
func attackForever([]string) error { return errors.ErrUnsupported }
