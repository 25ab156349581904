package runlog

import (
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"stretcher/internal/text/printable"
)

// MinMask is the length in bytes of the shortest value that is masked: "1",
// "on" or "dev" stand in too many lines that have nothing to hide.
const MinMask = 4

// common are values that hide nothing: as settings they stand in many
// variables, and as words in many lines. No secret is one of them.
var common = []string{
	"true", "false", "none", "null", "auto", "default", "always", "never", "enabled", "disabled",
	"info", "debug", "warn", "warning", "error", "trace",
}

// maxPiece is the length in bytes of the pieces that a longer value is masked
// in: what it takes to look for a value grows with the value, at each byte of
// the log. Pieces also hide the parts of a value that is cut.
const maxPiece = 256

type masks struct {
	clean    func(string) string // applied after the masks; may be nil
	mu       sync.Mutex
	values   map[string]string // value, or piece of one, to name
	pieces   map[string]bool   // the names of values that are masked in pieces
	replacer *strings.Replacer // nil: to be made of values, when it is needed
}

func (m *masks) add(name, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values, m.pieces = make(map[string]string), make(map[string]bool)
	}
	for _, v := range append(strings.Split(value, "\n"), value) {
		if v = strings.TrimSpace(v); len(v) < MinMask || isCommon(v) {
			continue
		}
		for _, said := range []string{v, quoted(v), printable.Line(v), printable.Line(quoted(v)), inError(v)} {
			m.addPieces(name, said)
		}
		m.replacer = nil
	}
}

func isCommon(v string) bool {
	return slices.ContainsFunc(common, func(word string) bool { return strings.EqualFold(v, word) })
}

// addPieces adds a value as one form of it is said. A short piece stands in lines
// that have nothing to hide: the last one is longer than the others instead. Its
// beginning is one too, for a value that is cut there.
func (m *masks) addPieces(name, said string) {
	m.pieces[name] = m.pieces[name] || len(said) > maxPiece
	for len(said) > maxPiece {
		m.values[said[:maxPiece]] = name
		if len(said) < 2*maxPiece {
			break
		}
		said = said[maxPiece:]
	}
	m.values[said] = name
}

// build makes the replacer: once for all values that were added meanwhile.
func (m *masks) build() *strings.Replacer {
	if m.replacer != nil || len(m.values) == 0 {
		return m.replacer
	}
	// Longest first: a value that holds another must not be half replaced.
	order := make([]string, 0, len(m.values))
	for v := range m.values {
		order = append(order, v)
	}
	sort.Slice(order, func(i, j int) bool {
		if len(order[i]) != len(order[j]) {
			return len(order[i]) > len(order[j])
		}
		return order[i] < order[j]
	})
	pairs := make([]string, 0, 2*len(order))
	for _, v := range order {
		pairs = append(pairs, v, "["+m.values[v]+"]")
	}
	m.replacer = strings.NewReplacer(pairs...)
	return m.replacer
}

// inError is v as the text of an error shows it: see failure.Text.
func inError(v string) string { return printable.Line(strings.ReplaceAll(v, "\n", "; ")) }

// quoted is v as %q shows it, without the quotes.
func quoted(v string) string {
	q := strconv.Quote(v)
	return q[1 : len(q)-1]
}

func (m *masks) apply(s string) string {
	m.mu.Lock()
	replacer := m.build()
	m.mu.Unlock()
	if replacer != nil {
		s = m.joined(replacer.Replace(s)) // before clean, which would cut a value up
	}
	if m.clean != nil {
		s = m.clean(s)
	}
	return s
}

// joined makes one of the names that pieces of one value have left side by
// side.
func (m *masks) joined(s string) string {
	if !strings.Contains(s, "][") {
		return s
	}
	var b strings.Builder
	last := "" // the name that b ends with
	for {
		open := strings.IndexByte(s, '[')
		length := strings.IndexByte(s[max(open, 0):], ']') + 1
		if open < 0 || length == 0 {
			return b.String() + s
		}
		tag := s[open : open+length]
		if open > 0 || tag != last || !m.isPiece(tag) {
			b.WriteString(s[:open+length])
		}
		last, s = tag, s[open+length:]
	}
}

func (m *masks) isPiece(tag string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pieces[tag[1:len(tag)-1]]
}
