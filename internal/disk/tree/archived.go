package tree

// Archived are the sums of the files of an archive, made while it is unpacked:
// of what they are in dest, if whoever puts them there does it right.
type Archived struct {
	code  *Contents // nil until there is a file
	files map[string]span
}

// span is the sums of one file.
type span struct{ first, n int32 }

// Seen is archive.Options.Seen.
func (a *Archived) Seen(path string) (block func([]byte)) {
	if a.code == nil {
		a.code, a.files = NewContents(), map[string]span{}
	}
	s := span{first: int32(len(a.code.sums))}
	a.files[path] = s
	return func(b []byte) {
		a.code.sums = append(a.code.sums, a.code.Sum(int(s.n), b))
		s.n++
		a.files[path] = s
	}
}

// of gives the sums of the file at a path.
func (a *Archived) of(path string) ([]Sum, bool) {
	if a == nil {
		return nil, false
	}
	s, ok := a.files[path]
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
