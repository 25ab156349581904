package tree

// Archived are the sums of the files of an archive, made while it is unpacked:
// of what they are in dest, if whoever puts them there does it right. Files are
// known by the sums of their paths, which are shorter than most paths.
type Archived struct {
	code  *Contents // nil until there is a file
	files map[Sum]span
}

// Entries is about how many entries the tree has: its files, and some more.
func (a *Archived) Entries() int {
	if a == nil {
		return 0
	}
	return len(a.files) + len(a.files)/16
}

// span is the sums of one file.
type span struct{ first, n int32 }

// Seen is archive.Options.Seen.
func (a *Archived) Seen(path string) (block func([]byte)) {
	if a.code == nil {
		a.code, a.files = NewContents(), map[Sum]span{}
	}
	key := a.key(path)
	s := span{first: int32(len(a.code.sums))}
	a.files[key] = s
	return func(b []byte) {
		if len(a.code.sums) < maxSums {
			a.code.sums = append(a.code.sums, a.code.Sum(int(s.n), b))
			s.n++
			a.files[key] = s
		}
	}
}

// key is what a path is known by.
func (a *Archived) key(path string) Sum { return a.code.Sum(-1, []byte(path)) }

// of gives the sums of the file at a path.
func (a *Archived) of(path string) ([]Sum, bool) {
	if a == nil || a.code == nil {
		return nil, false
	}
	s, ok := a.files[a.key(path)]
	if !ok {
		return nil, false
	}
	return a.code.sums[s.first : s.first+s.n], true
}

// Checksum is that of the archive that a record says was deployed; "" if there
// is no such record.
func Checksum(name string) string {
	d, err := openRecord(name)
	if err != nil {
		return ""
	}
	defer d.close()
	return d.checksum
}
