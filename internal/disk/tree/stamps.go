package tree

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// LeftBy tells files below root that are as a record says they were left, by inode
// and time of the last change, whether or not anything of their contents is
// recorded. It is nil where there is no such record.
func LeftBy(name string, root *os.Root) func(*unix.Stat_t) bool {
	s, err := loadStamps(name, root)
	if err != nil {
		return nil
	}
	return s.has
}

// stamps are the times of the last change, of files on one file system.
type stamps map[inode][2]uint32

func loadStamps(name string, root *os.Root) (stamps, error) {
	r, err := openRecord(name)
	if err != nil {
		return nil, err
	}
	defer r.close()
	device, err := deviceOf(root)
	if err != nil {
		return nil, fmt.Errorf("read tree: %w", err)
	}
	s := stamps{}
	for {
		if err := r.next(); err != nil {
			return nil, err
		}
		e := &r.entry
		if e.Path == "" {
			return s, nil
		}
		if e.Mode.IsRegular() && e.CTime != 0 {
			s[inode{halves(device), halves(e.Inode)}] = halves(uint64(e.CTime))
		}
	}
}

func (s stamps) has(st *unix.Stat_t) bool {
	at, ok := s[inodeOf(st)]
	return ok && at == when(st)
}
