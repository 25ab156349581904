package filter

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxPattern is the length in bytes from which on rsync drops a pattern
// (MAXPATHLEN), and maxLine is what a line of a file may have, comments too.
const (
	maxPattern = 4096
	maxLine    = 1 << 20
)

// ErrPattern is wrapped by the errors about a rule, not by those of reading.
var ErrPattern = errors.New("bad exclude pattern")

// A Rule is one include or exclude pattern, or the order to clear the list.
// The zero Rule matches nothing.
type Rule struct {
	clear   bool
	include bool
	dirOnly bool // the pattern had a trailing slash
	subtree bool // ends with "***": a directory is also tried with a slash
	rooted  bool // starts with "**": the path is also taken with a slash
	where   where
	names   int     // with atLast: how many elements of the path count
	literal string  // the pattern without its leading slash, if it has no wildcard
	tokens  []token // the same, if it has
}

// where is the place of a path where a pattern may start to match.
type where int

const (
	atName  where = iota // the last element
	atStart              // the start of the path
	atLast               // the start of the last few elements
	atAny                // the start of any element
)

// Parse reads a rule as rsync's --exclude takes it. It is false for the empty
// text, which is no rule. The errors wrap ErrPattern.
func Parse(text string) (Rule, bool, error) {
	if strings.IndexByte(text, 0) >= 0 {
		return Rule{}, false, fmt.Errorf("%w: %q has a NUL", ErrPattern, head(text))
	}
	pattern, include := strings.CutPrefix(text, "+ ")
	if !include {
		pattern = strings.TrimPrefix(text, "- ")
	}
	switch {
	case text == "":
		return Rule{}, false, nil
	case text == "!":
		return Rule{clear: true}, true, nil
	case pattern == "":
		return Rule{}, false, fmt.Errorf("%w: %q has nothing after its prefix", ErrPattern, text)
	case len(pattern) >= maxPattern:
		return Rule{}, false, fmt.Errorf("%w: %q... is longer than %d bytes", ErrPattern, head(pattern), maxPattern-1)
	}
	r := compile(pattern)
	r.include = include
	return r, true, nil
}

// ParseFile reads rules as rsync's --exclude-from does: one a line, where CR
// ends a line as LF does, lines that are empty or start with "#" or ";" are
// skipped, and a NUL hides the rest of its line. Errors about a line name it,
// counted by LF, and wrap ErrPattern; those of r are wrapped.
func ParseFile(r io.Reader) ([]Rule, error) {
	var rules []Rule
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 1
	for ; lines.Scan(); n++ {
		for line := range strings.SplitSeq(lines.Text(), "\r") {
			rule, ok, err := parseLine(line)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			if ok {
				rules = append(rules, rule)
			}
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("line %d: %w: longer than %d bytes", n, ErrPattern, maxLine)
	case err != nil:
		return nil, fmt.Errorf("read exclude patterns: %w", err)
	}
	return rules, nil
}

// parseLine reads a line of a file; false when it has no rule.
func parseLine(line string) (Rule, bool, error) {
	line, _, _ = strings.Cut(line, "\x00")
	if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
		return Rule{}, false, nil
	}
	return Parse(line)
}

// head shortens a text for an error message.
func head(s string) string {
	return s[:min(len(s), 40)]
}

// compile prepares a pattern that isn't empty.
func compile(pattern string) Rule {
	var r Rule
	pattern, r.dirOnly = strings.CutSuffix(pattern, "/")
	deep := strings.Contains(pattern, "**")
	r.rooted = strings.HasPrefix(pattern, "**")
	r.subtree = strings.HasSuffix(pattern, "***")
	slashes := strings.Count(pattern, "/")
	rest, anchored := strings.CutPrefix(pattern, "/")
	switch {
	case anchored:
		r.where = atStart
	case deep:
		r.where = atAny
	case slashes > 0:
		r.where = atLast
		r.names = slashes + 1
	}
	if strings.ContainsAny(pattern, "*?[") {
		r.tokens = tokens(rest)
	} else {
		r.literal = rest
	}
	return r
}

// match tells whether the pattern matches path, of which base is the last
// element.
func (r *Rule) match(path, base string, isDir bool) bool {
	if r.dirOnly && !isDir {
		return false
	}
	if r.where == atName {
		path = base
	}
	if r.tokens == nil {
		return r.matchLiteral(path)
	}
	if r.rooted {
		path = "/" + path // for "**/x" to match x at the root
	}
	if r.subtree && isDir {
		path += "/" // for "x/***" to match x
	}
	return r.matchWild(path)
}

func (r *Rule) matchLiteral(path string) bool {
	before, ok := strings.CutSuffix(path, r.literal)
	if r.where == atLast {
		return ok && (before == "" || before[len(before)-1] == '/')
	}
	return ok && before == ""
}

func (r *Rule) matchWild(path string) bool {
	if r.where == atLast {
		start := lastNames(path, r.names)
		if start < 0 {
			return false
		}
		path = path[start:]
	}
	return matchTokens(r.tokens, path, r.where == atAny)
}

// lastNames is where the last n elements of path start; -1 if it has fewer.
func lastNames(path string, n int) int {
	start := len(path) + 1
	for ; n > 0; n-- {
		if start == 0 {
			return -1
		}
		start = strings.LastIndexByte(path[:start-1], '/') + 1
	}
	return start
}
