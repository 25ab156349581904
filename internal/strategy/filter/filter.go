// Package filter decides which paths of a tree rsync's --exclude and
// --exclude-from options leave out, for code that syncs trees without rsync.
//
// The rules are those of rsync(1), FILTER RULES and PATTERN MATCHING RULES,
// and as far as rsync 3.5.0 and the manual differ, those of rsync; a test
// compares the two programs. In short: the first rule that matches a path
// decides, and a path that no rule matches is kept. A pattern with a leading
// slash matches from the root of the transfer, any other at the end of the
// path; a trailing slash restricts it to directories. "*" and "?" stop at
// slashes, "**" does not, "[...]" is a class, and "dir/***" is dir with all
// that is in it. Names are bytes, not characters: "?" is one byte, and the
// POSIX classes are those of the C locale.
//
// Of the options' own language there is the prefix "+ " (keep what matches),
// the prefix "- " (the default), and "!", which drops every rule before it.
// Modifiers and merge files belong to --filter and are not here.
//
// Two things are errors here that rsync only warns of, or never meets: a
// pattern or line too long, which rsync would drop and so delete or send what
// it protects, and a NUL in a rule that does not come from a file.
//
// Matching a path of n bytes against a pattern of m bytes takes at most n*m
// steps, whatever the pattern: there is no backtracking. Patterns without
// wildcards are found by their text, however many there are; those with
// wildcards are tried one after the other, and whoever takes lists from others
// bounds them by MaxWild.
package filter

import "strings"

// A List is an ordered list of rules. It never changes, and goroutines may
// share it. The nil List excludes nothing.
type List struct {
	wild  []ranked
	plain index
}

// New makes a list of rules in the order of rsync's command line. A clearing
// rule ("!") drops those before it.
func New(rules ...Rule) *List {
	l := &List{}
	for i, r := range rules {
		switch at := (ranked{i + 1, r}); {
		case r.clear:
			l = &List{}
		case r.tokens != nil:
			l.wild = append(l.wild, at)
		default:
			l.plain.add(at)
		}
	}
	return l
}

// Excluded tells whether the rules leave path out. The path is relative to
// the root of the transfer, separated by slashes, without a slash at its start
// or end; the root itself ("." or "") is never excluded. Set isDir for
// directories, but not for symbolic links to them.
//
// Only path itself is matched, not its parents: the caller walks the tree from
// the top and doesn't enter an excluded directory, for then rsync leaves out
// everything below it, even what another rule includes.
func (l *List) Excluded(path string, isDir bool) bool {
	if l == nil || path == "" || path == "." {
		return false
	}
	base := path[strings.LastIndexByte(path, '/')+1:]
	v := l.plain.first(path, base, isDir)
	for i := range l.wild {
		r := &l.wild[i]
		if v.rank > 0 && v.rank < r.rank {
			break
		}
		if r.match(path, base, isDir) {
			return !r.include
		}
	}
	return v.rank > 0 && !v.include
}
