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

type masks struct {
	clean    func(string) string // applied after the masks; may be nil
	mu       sync.Mutex
	values   map[string]string // value to name
	longest  int               // bytes of the longest of them
	replacer *strings.Replacer // nil: to be made of values, when it is needed
}

func (m *masks) add(name, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = make(map[string]string)
	}
	for _, v := range append(strings.Split(value, "\n"), value) {
		if v = strings.TrimSpace(v); len(v) >= MinMask && !isCommon(v) {
			for _, said := range []string{v, quoted(v), printable.Line(v), inError(v)} {
				m.values[said] = name
				m.longest = max(m.longest, len(said))
			}
			m.replacer = nil
		}
	}
}

func isCommon(v string) bool {
	return slices.ContainsFunc(common, func(word string) bool { return strings.EqualFold(v, word) })
}

// Longest is the length in bytes of the longest value that is masked.
func (m *masks) Longest() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.longest
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
		s = replacer.Replace(s) // before clean, which would cut a value up
	}
	if m.clean != nil {
		s = m.clean(s)
	}
	return s
}
