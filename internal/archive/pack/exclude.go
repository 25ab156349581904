package pack

import (
	"fmt"
	"path"
	"strings"
)

// Excludes makes what Options.Skip takes of patterns as they stand in a
// .gitignore at the root: the last one that matches decides, "!" keeps what an
// earlier one leaves out, and a directory that is left out is not looked into.
// Each is a line, with the comments and blanks of such a file. A class that is
// not closed is an error, and so is one that names characters, as [[:alpha:]].
//
// The libraries for this tell whether a path or one above it is matched, which
// is not the same: by "e" and "![a-d]", git ignores d/e, and they do not.
func Excludes(patterns []string) (func(path string, isDir bool) bool, error) {
	var rules []rule
	for _, p := range patterns {
		r, err := parseRule(p)
		if err != nil {
			return nil, fmt.Errorf("exclude %q: %w", p, err)
		}
		if r != nil {
			rules = append(rules, *r)
		}
	}
	return func(path string, isDir bool) bool {
		for i := len(rules) - 1; i >= 0; i-- {
			if rules[i].match(path, isDir) {
				return !rules[i].keep
			}
		}
		return false
	}, nil
}

// rule is one pattern.
type rule struct {
	keep     bool
	dirs     bool // only directories
	anywhere bool // its one part matches names, wherever they are
	parts    []string
}

const anyDirs = "**" // a part that stands for any number of directories

// parseRule reads a line; nil when it is none. See gitignore(5).
func parseRule(line string) (*rule, error) {
	if strings.ContainsAny(line, "\n\x00") {
		return nil, fmt.Errorf("it is more than one line")
	}
	text := trimBlanks(line)
	if text == "" || text[0] == '#' {
		return nil, nil
	}
	r := &rule{}
	text, r.keep = strings.CutPrefix(text, "!")
	text, r.dirs = strings.CutSuffix(text, "/")
	r.anywhere = !strings.Contains(text, "/")
	text = strings.TrimPrefix(text, "/")
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, "/") {
		if part = asMatch(part); len(part) > 1 && strings.Trim(part, "*") == "" {
			part = anyDirs
		}
		if _, err := path.Match(part, ""); err != nil || strings.Contains(part, "[[:") {
			return nil, fmt.Errorf("%q is no pattern", part)
		}
		r.parts = append(r.parts, part)
	}
	return r, nil
}

// trimBlanks takes away blanks at the end, save for one behind a backslash.
func trimBlanks(line string) string {
	text := strings.TrimRight(line, " ")
	slashes := len(text) - len(strings.TrimRight(text, `\`))
	if slashes%2 == 1 && len(text) < len(line) {
		text += " "
	}
	return text
}

// asMatch writes a part as path.Match has it, where "^" is what negates a class.
func asMatch(part string) string {
	b := []byte(part)
	inClass := false
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '\\':
			i++
		case inClass:
			inClass = b[i] != ']'
		case b[i] == '[':
			inClass = true
			if i+1 < len(b) && b[i+1] == '!' {
				b[i+1] = '^'
				i++
			}
		}
	}
	return string(b)
}

func (r *rule) match(name string, isDir bool) bool {
	switch {
	case r.dirs && !isDir:
		return false
	case r.anywhere: // where stars have no other meaning
		return matchName(r.parts[0], name[strings.LastIndexByte(name, '/')+1:])
	}
	return matchParts(r.parts, strings.Split(name, "/"))
}

// matchParts goes through both from the left. At each part it knows how many
// names may have been matched, so that no pattern takes long.
func matchParts(parts, names []string) bool {
	at := make([]bool, len(names)+1)
	at[0] = true
	for i, part := range parts {
		next := make([]bool, len(names)+1)
		reached := false
		for n := range at {
			switch {
			case part != anyDirs:
				next[n] = n > 0 && at[n-1] && matchName(part, names[n-1])
			case i == len(parts)-1: // what is in the directory, and not itself
				next[n] = reached
			default:
				next[n] = reached || at[n]
			}
			reached = reached || at[n]
		}
		at = next
	}
	return at[len(names)]
}

func matchName(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}
