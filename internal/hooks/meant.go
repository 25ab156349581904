package hooks

import (
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// Meant tells whether a name that is not one of words looks as if it were
// meant to be: it is another vocabulary's name of a point, is written in another
// way or misspelt, or says that it is before or after something. word is the
// one that may have been meant; "" = none comes near.
//
// words are the names that a point has where name was found.
func Meant(name string, words func(Names) []string) (word string, looks bool) {
	var own []string
	for _, n := range Points() {
		own = append(own, words(n)...)
	}
	if slices.Contains(own, name) {
		return "", false
	}
	for _, n := range Points() {
		if slices.ContainsFunc(n.all(), func(w string) bool { return alike(name, w) }) {
			return nearest(name, words(n)), true
		}
	}
	if side := sideOf(name); side != "" {
		same := slices.DeleteFunc(own, func(w string) bool { return sideOf(w) != side })
		return nearest(name, same), true
	}
	return "", false
}

// all are the names of the point in every vocabulary.
func (n Names) all() []string {
	names := slices.Concat(n.Lists(), n.OCI, n.Commands)
	if n.P2 != "" {
		names = append(names, n.P2)
	}
	return names
}

// spelt is a name in the way in which points are written.
func spelt(name string) string {
	return strings.NewReplacer("-", "_", ".", "_", " ", "_").Replace(strings.ToLower(name))
}

// plain is a name without what stands between its words.
func plain(name string) string { return strings.ReplaceAll(spelt(name), "_", "") }

const (
	oneWrong = 6  // letters from which on a name may have one wrong
	twoWrong = 10 // and two
)

// alike tells whether two names are the same but for spelling. Short names
// must be the same: a name of somebody's own is soon near to one of them.
func alike(a, b string) bool {
	if plain(a) == plain(b) {
		return true
	}
	a, b = spelt(a), spelt(b)
	d := levenshtein.Distance(a, b, nil)
	if swapped(a, b) {
		d = 1
	}
	switch n := min(len(a), len(b)); {
	case n >= twoWrong:
		return d <= 2
	case n >= oneWrong:
		return d <= 1
	}
	return false
}

// swapped tells whether b is a with two adjacent letters swapped.
func swapped(a, b string) bool {
	for i := 1; i < len(a) && len(a) == len(b); i++ {
		if a[:i-1]+a[i:i+1]+a[i-1:i]+a[i+1:] == b {
			return true
		}
	}
	return false
}

// sideOf says on which side of something a name says that it is; "" = it does
// not say.
func sideOf(name string) string {
	name = spelt(name)
	for side, words := range map[string][]string{"before": {"pre_", "before_"}, "after": {"post_", "after_"}} {
		if slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(name, w) }) {
			return side
		}
	}
	return ""
}

// nearest is the word that is most like name; "" when there is none. What
// porter calls a hotswap changes what is live, as a sync does.
func nearest(name string, words []string) (best string) {
	name = strings.ReplaceAll(plain(name), "hotswap", "sync")
	least := 0
	for _, w := range words {
		if d := levenshtein.Distance(name, plain(w), nil); best == "" || d < least {
			best, least = w, d
		}
	}
	return best
}
