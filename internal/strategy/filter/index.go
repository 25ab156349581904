package filter

import "strings"

// A ranked rule knows its place in the list: the first that matches decides.
type ranked struct {
	rank int
	Rule
}

// spot is what is found by the text of rules without wildcards: the first that
// is for directories alone, and the first that is not. A rank of 0 is none.
type spot struct{ dir, any verdict }

type verdict struct {
	rank    int
	include bool
}

// earlier returns the verdict that counts of two.
func (v verdict) earlier(other verdict) verdict {
	if v.rank == 0 || other.rank > 0 && other.rank < v.rank {
		return other
	}
	return v
}

// index finds rules without wildcards by their text, so that a path costs the
// same however many there are.
type index struct {
	name, start, last map[string]spot
	depths            []bool // so many elements have the keys of last
}

// add adds a rule.
func (x *index) add(r ranked) {
	into := &x.name
	switch r.where {
	case atStart:
		into = &x.start
	case atLast:
		into = &x.last
		for len(x.depths) <= r.names {
			x.depths = append(x.depths, false)
		}
		x.depths[r.names] = true
	}
	if *into == nil {
		*into = map[string]spot{}
	}
	s := (*into)[r.literal]
	at := &s.any
	if r.dirOnly {
		at = &s.dir
	}
	if at.rank == 0 { // else an earlier one decides
		*at = verdict{r.rank, r.include}
		(*into)[r.literal] = s
	}
}

// first returns the verdict of the first rule that matches path.
func (x *index) first(path, base string, isDir bool) (v verdict) {
	look := func(in map[string]spot, key string) {
		s := in[key]
		v = v.earlier(s.any)
		if isDir {
			v = v.earlier(s.dir)
		}
	}
	look(x.name, base)
	look(x.start, path)
	end := len(path)
	for depth := 1; depth < len(x.depths) && end >= 0; depth++ {
		end = strings.LastIndexByte(path[:end], '/')
		if x.depths[depth] {
			look(x.last, path[end+1:])
		}
	}
	return v
}

// MaxWild bounds the patterns with wildcards of a list together, in bytes: each
// of them costs each path a comparison.
const MaxWild = 64 << 10

// Wild returns how many bytes of an exclude list, one pattern a line, are
// patterns with wildcards.
func Wild(list string) (bytes int) {
	for _, line := range strings.FieldsFunc(list, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if strings.ContainsAny(line, "*?[") {
			bytes += len(line)
		}
	}
	return bytes
}
