//go:build !linux

package tree

import "time"

// now is the time that the kernel gives to what is changed now.
func now() int64 { return time.Now().UnixNano() }
