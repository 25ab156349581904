package confined

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"strconv"

	"golang.org/x/sys/unix"
)

// The extended attributes that hold ACLs.
const (
	defaultACL = "system.posix_acl_default"
	accessACL  = "system.posix_acl_access"
)

// An ACL is a header of four bytes, then entries of eight: tag, permissions, id
// (linux/posix_acl_xattr.h).
const (
	aclHeader = 4
	aclEntry  = 8
	// maxACL bounds an ACL that is read, in bytes.
	maxACL = 64 << 10

	tagOwner = 0x01
	tagUser  = 0x02
	tagGroup = 0x04
	tagMask  = 0x10
	tagOther = 0x20
)

// ACL is what a directory hands on to what is made in it; nil is nothing.
type ACL []byte

// DefaultACL reads the default ACL of an open directory.
func DefaultACL(dir int) (ACL, error) {
	buf := make([]byte, 256)
	for {
		n, err := unix.Fgetxattr(dir, defaultACL, buf)
		switch {
		case errors.Is(err, unix.ERANGE) && len(buf) < maxACL:
			buf = make([]byte, maxACL)
		case errors.Is(err, unix.ENODATA) || noACLs(err):
			return nil, nil
		case err != nil:
			return nil, err
		case n <= aclHeader:
			return nil, nil
		default:
			return ACL(buf[:n]), nil
		}
	}
}

// HasACL tells whether an open file or directory has an ACL beside its mode, or
// nobody knows.
func HasACL(fd int) bool {
	_, err := unix.Fgetxattr(fd, accessACL, nil)
	return !errors.Is(err, unix.ENODATA) && !noACLs(err)
}

// noACLs tells that a file system knows none.
func noACLs(err error) bool { return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) }

// Inherit gives an open directory the ACLs that it would have if it had been
// made, with its mode, in a directory with that default ACL, and none else.
func (acl ACL) Inherit(dir int) error {
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil {
		return err
	}
	if err := setACL(dir, accessACL, acl.access(st.Mode)); err != nil {
		return err
	}
	if err := setACL(dir, defaultACL, acl); err != nil || acl == nil {
		return err
	}
	return unix.Fchmod(dir, st.Mode&permMask)
}

// setACL sets one of the ACLs of an open directory, or removes it if there is
// one.
func setACL(dir int, name string, acl ACL) error {
	if acl != nil {
		return unix.Fsetxattr(dir, name, acl, 0)
	}
	_, err := unix.Fgetxattr(dir, name, nil)
	switch {
	case errors.Is(err, unix.ENODATA) || noACLs(err):
		return nil
	case err != nil:
		return err
	}
	return unix.Fremovexattr(dir, name)
}

// InheritAt gives what is no directory and stands at name the ACL that it would
// have if it had been made in a directory with that default ACL.
func (acl ACL) InheritAt(dir int, name string) error {
	n, err := openat(dir, name, unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(n)
	var st unix.Stat_t
	if err := unix.Fstat(n, &st); err != nil || FileType(&st) == fs.ModeSymlink {
		return err
	}
	access := acl.access(st.Mode)
	if access == nil {
		return nil
	}
	path := "/proc/self/fd/" + strconv.Itoa(n)
	if err := unix.Setxattr(path, accessACL, access, 0); err != nil {
		return err
	}
	if st.Mode&(unix.S_ISUID|unix.S_ISGID) == 0 {
		return nil
	}
	return setPath(n, MetaOf(&st), Mode) // an ACL may take the bits away
}

// access is what is made of a default ACL for something with a mode; nil when
// the mode says all of it.
func (acl ACL) access(mode uint32) ACL {
	named := false
	access := append(ACL(nil), acl...)
	group := -1 // where the permissions are that the mode has for the group
	for at := aclHeader; at+aclEntry <= len(access); at += aclEntry {
		switch binary.LittleEndian.Uint16(access[at:]) {
		case tagOwner:
			access.permit(at, mode>>6)
		case tagOther:
			access.permit(at, mode)
		case tagGroup:
			if !named {
				group = at
			}
		case tagMask:
			named, group = true, at
		}
	}
	if !named {
		return nil
	}
	access.permit(group, mode>>3)
	return access
}

func (acl ACL) permit(at int, bits uint32) {
	binary.LittleEndian.PutUint16(acl[at+2:], uint16(bits&7))
}
