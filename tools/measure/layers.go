package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// layersFile has the rules, below the module's root.
const layersFile = "tools/layers.txt"

// rule is a line of tools/layers.txt.
type rule struct {
	line  int
	only  bool     // subjects are imported by others alone; else subjects may import others
	about []string // patterns of packages
	other []string
}

// layers counts the imports that the rules do not allow.
func layers(m *module) measure {
	x := measure{name: "imports against " + layersFile, limit: 0}
	text, err := os.ReadFile(filepath.Join(m.root, layersFile))
	if err != nil {
		m.err = err
		return x
	}
	rules, err := parseRules(string(text))
	if err != nil {
		m.err = err
		return x
	}
	x.details = m.against(rules)
	x.value = len(x.details)
	return x
}

// parseRules reads lines of the form
//
//	may PACKAGE...: PACKAGE... -- REASON
//	only PACKAGE...: PACKAGE... -- REASON
//
// Empty lines and those that begin with # are for people.
func parseRules(text string) (rules []rule, err error) {
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		left, reason, _ := strings.Cut(line, " -- ")
		about, other, colon := strings.Cut(left, ":")
		words := strings.Fields(about)
		if !colon || strings.TrimSpace(reason) == "" || len(words) < 2 || words[0] != "may" && words[0] != "only" {
			return nil, fmt.Errorf("%s:%d: expected may|only PACKAGE...: PACKAGE... -- REASON", layersFile, i+1)
		}
		rules = append(rules, rule{i + 1, words[0] == "only", words[1:], strings.Fields(other)})
	}
	return rules, nil
}

// against are the imports of production code that no rule allows, and the rules
// that are about nothing.
func (m *module) against(rules []rule) (bad []string) {
	used := map[int]bool{}
	for _, f := range m.production() {
		for _, spec := range f.ast.Imports {
			to := text(spec.Path)
			if dir, ours := m.imported(to); ours {
				to = dir
			}
			if why := forbidden(rules, f.dir, to); why != "" {
				bad = append(bad, fmt.Sprintf("%s: %s imports %s: %s", m.where(spec.Pos()), f.dir, to, why))
			}
		}
		if r := ruleOf(rules, f.dir); r != nil {
			used[r.line] = true
		} else if len(f.ast.Imports) > 0 {
			bad = append(bad, fmt.Sprintf("%s: no rule says what it may import", f.dir))
		}
	}
	for _, r := range rules {
		if !r.only && !used[r.line] {
			bad = append(bad, fmt.Sprintf("%s:%d: there is no such package", layersFile, r.line))
		}
	}
	slices.Sort(bad)
	return slices.Compact(bad)
}

// ruleOf is the first rule that says what a package may import.
func ruleOf(rules []rule, dir string) *rule {
	for i, r := range rules {
		if !r.only && matchAny(r.about, dir) {
			return &rules[i]
		}
	}
	return nil
}

// forbidden tells why a package may not import another one, "" when it may.
func forbidden(rules []rule, dir, to string) string {
	for _, r := range rules {
		if !r.only || !matchAny(r.about, to) {
			continue
		}
		if !matchAny(r.other, dir) {
			return fmt.Sprintf("see %s:%d", layersFile, r.line)
		}
	}
	if to != "." && !strings.HasPrefix(to, "internal/") && to != "hookenv" {
		return "" // somebody else's
	}
	if r := ruleOf(rules, dir); r != nil && !matchAny(r.other, to) {
		return fmt.Sprintf("see %s:%d", layersFile, r.line)
	}
	return ""
}

// matchAny tells whether a path is one of those that patterns name. A pattern
// that ends in /* names all that is below, and not itself.
func matchAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		above, below := strings.CutSuffix(p, "/*")
		return p == path || below && strings.HasPrefix(path, above+"/")
	})
}
