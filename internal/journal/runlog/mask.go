package runlog

import (
	"sort"
	"strconv"
	"strings"
	"sync"
)

// MinMask is the length in bytes of the shortest value that is masked: "1",
// "on" or "dev" stand in too many lines that have nothing to hide.
const MinMask = 4

type masks struct {
	clean    func(string) string // applied after the masks; may be nil
	mu       sync.RWMutex
	values   map[string]string // value to name
	replacer *strings.Replacer
}

func (m *masks) add(name, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = make(map[string]string)
	}
	for _, v := range append(strings.Split(value, "\n"), value) {
		if v = strings.TrimSpace(v); len(v) >= MinMask {
			m.values[v] = name
			m.values[quoted(v)] = name
		}
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
}

// quoted is v as %q shows it, without the quotes.
func quoted(v string) string {
	q := strconv.Quote(v)
	return q[1 : len(q)-1]
}

func (m *masks) apply(s string) string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.replacer != nil {
		s = m.replacer.Replace(s) // before clean, which would cut a value up
	}
	if m.clean != nil {
		s = m.clean(s)
	}
	return s
}
