package members

import (
	"strconv"
	"strings"
)

// Keys of the records that are obeyed. All others are left alone: comments,
// times of access, names of owners (which are for lists), attributes.
const (
	keyPath   = "path"
	keyLink   = "linkpath"
	keySize   = "size"
	keyUID    = "uid"
	keyGID    = "gid"
	keyTime   = "mtime"
	keySparse = "GNU.sparse." // the head of those below

	keySparseMajor = "GNU.sparse.major"
	keySparseMinor = "GNU.sparse.minor"
	keySparseName  = "GNU.sparse.name"
	keySparseSize  = "GNU.sparse.size"
	keySparseReal  = "GNU.sparse.realsize"
	keySparseMap   = "GNU.sparse.map"
	keySparseStart = "GNU.sparse.offset"
	keySparseBytes = "GNU.sparse.numbytes"
)

// records are those of one extended header that are obeyed.
type records map[string]string

// parseRecords reads an extended header. The pairs of a sparse file of pax
// format 0.0, which repeats its keys, become the map of format 0.1.
func parseRecords(s string) (records, error) {
	recs := make(records)
	var pieces []string
	for s != "" {
		key, value, rest, ok := parseRecord(s)
		if !ok {
			return nil, invalid("malformed extended header")
		}
		s = rest
		switch key {
		case keySparseStart, keySparseBytes:
			if (len(pieces)%2 == 0) != (key == keySparseStart) || strings.Contains(value, ",") {
				return nil, invalid("%s out of order", key)
			}
			pieces = append(pieces, value)
		case keyPath, keyLink, keySize, keyUID, keyGID, keyTime, keySparseMajor, keySparseMinor, keySparseName,
			keySparseSize, keySparseReal, keySparseMap:
			if strings.IndexByte(value, 0) >= 0 {
				return nil, invalid("%s holds a NUL byte", key)
			}
			recs[key] = value
		}
	}
	if len(pieces) > 0 {
		recs[keySparseMap] = strings.Join(pieces, ",")
	}
	return recs, nil
}

// parseRecord reads "LENGTH KEY=VALUE\n", of which LENGTH is that of it all.
func parseRecord(s string) (key, value, rest string, ok bool) {
	digits, _, ok := strings.Cut(s[:min(len(s), 20)], " ")
	n, err := strconv.ParseUint(digits, 10, 31)
	if !ok || err != nil || n > uint64(len(s)) || int(n) < len(digits)+2 || s[n-1] != '\n' {
		return "", "", "", false
	}
	key, value, ok = strings.Cut(s[len(digits)+1:n-1], "=")
	return key, value, s[n:], ok && key != "" && strings.IndexByte(key, 0) < 0
}

// without leaves out what others have, be it to take it away.
func (r records) without(others records) records {
	out := make(records, len(r))
	for key, value := range r {
		if _, ok := others[key]; !ok {
			out[key] = value
		}
	}
	return out
}

// apply puts the records into m. An empty one takes back what a global one
// says, and leaves what the header does.
func (r records) apply(m *Member) error {
	for key, value := range r {
		if value == "" || strings.HasPrefix(key, keySparse) {
			continue
		}
		var err error
		switch key {
		case keyPath:
			m.Name = value
		case keyLink:
			m.Link = value
		case keySize:
			m.Size, err = strconv.ParseInt(value, 10, 64)
			if m.Size < 0 || m.Size > maxSize {
				err = errNumber
			}
		case keyUID:
			m.UID, err = strconv.ParseInt(value, 10, 64)
			m.Uname = ""
		case keyGID:
			m.GID, err = strconv.ParseInt(value, 10, 64)
			m.Gname = ""
		case keyTime:
			m.Sec, m.Nsec, err = seconds(value)
		}
		if err != nil {
			return invalid("%s %q", key, value)
		}
	}
	return r.applySparse(m)
}

// applySparse takes name and size of a sparse file of one of pax' formats. Of
// an unknown format, it is a file like any other.
func (r records) applySparse(m *Member) error {
	if r.sparseFormat() == 0 {
		return nil
	}
	m.Sparse = true
	if name := r[keySparseName]; name != "" {
		m.Name = name
	}
	return nil
}

const (
	mapInRecord  = iota + 1 // formats 0.0 and 0.1
	mapInContent            // format 1.0
)

func (r records) sparseFormat() int {
	major, minor := r[keySparseMajor], r[keySparseMinor]
	switch {
	case major == "0" && (minor == "0" || minor == "1"):
		return mapInRecord
	case major == "1" && minor == "0":
		return mapInContent
	case major == "" && minor == "" && r[keySparseMap] != "":
		return mapInRecord
	}
	return 0
}
