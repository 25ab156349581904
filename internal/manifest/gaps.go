package manifest

import (
	"fmt"
	"slices"
	"strings"

	"stretcher/internal/text/yamldoc"
)

// gaps are the scalars of a manifest that have a template without a value, with
// what stands in for it: the first of standIns that is nothing wrong with there.
type gaps struct {
	tried map[yamldoc.Place]int  // which stand-in
	heads map[yamldoc.Place]bool // those that begin with what is not known
	unset []*template            // whose variables are not set
}

func newGaps() *gaps { return &gaps{tried: map[yamldoc.Place]int{}, heads: map[yamldoc.Place]bool{}} }

// standIn is the word that stands for a value which nobody knows, where any text
// may stand.
const standIn = "placeholder"

// standIns are what fits where a text does not, from what fits often to what fits
// in one key.
func standIns() []string {
	digest := strings.Repeat("0", 64)
	return []string{
		standIn, "/" + standIn, "1", digest, "https://" + standIn + ".invalid/" + standIn, "0755", "true", "sha256",
		"sha256:" + digest, "2999-12-31T00:00:00Z", "native", "strict", "none", "post", "1s", "wait",
		"node_meta." + standIn,
	}
}

// standIn is what stands in at a place.
func (g *gaps) standIn(at yamldoc.Place) string {
	all := standIns()
	return all[g.tried[at]%len(all)]
}

func (g *gaps) add(at yamldoc.Place, head bool) {
	g.heads[at] = head
	if _, ok := g.tried[at]; !ok {
		g.tried[at] = 0
	}
}

// has tells whether a value is a gap.
func (g *gaps) has(at yamldoc.Place) bool {
	_, ok := g.tried[at]
	return ok
}

// miss notes that the variable of a template is not set.
func (g *gaps) miss(t *template) { g.unset = append(g.unset, t) }

// next takes the next stand-in where there is a problem with one, and tells
// whether there is one to try.
func (g *gaps) next(problems []*yamldoc.Problem) (again bool) {
	unfit := map[yamldoc.Place]bool{}
	for _, p := range problems {
		if n, gap := g.tried[p.Spot]; gap && n < len(standIns()) {
			unfit[p.Spot] = true
		}
	}
	for at := range unfit {
		g.tried[at]++ // behind the last one is the first again, which stays
	}
	return len(unfit) > 0
}

// names are the variables that are not set, each once.
func (g *gaps) names() (names []string) {
	for _, t := range g.unset {
		if !slices.Contains(names, t.args[0]) && len(names) < maxTold {
			names = append(names, t.args[0])
		}
	}
	return names
}

// guesses are the keys whose values are not known: from where on they are not.
type guesses map[string]guess

type guess struct{ any, head bool }

// guesses are those of a document among the keys that a host is asked about.
func (g *gaps) guesses(doc *yamldoc.Document, m *Manifest) guesses {
	if len(g.tried) == 0 {
		return nil
	}
	known, places := guesses{}, doc.Places()
	keys := []string{"name", "dest", "sync_strategy", "serial", "src"}
	for i := range m.Src {
		keys = append(keys, fmt.Sprintf("src[%d]", i))
	}
	for _, key := range keys {
		if _, at := places(key); g.has(at) {
			known[key] = guess{true, g.heads[at]}
		}
	}
	return known
}

// Guessed tells whether the value of a key is one that stands in for another, so
// that no host can be asked about it. Of dest and src it is only where their
// beginning is: what follows changes little of where they are.
func (m *Manifest) Guessed(key, value string) bool {
	of := m.guesses[key]
	if key == "src[0]" && m.guesses["src"].any {
		of = m.guesses["src"]
	}
	switch {
	case key == "dest", of.head:
		return of.head
	case strings.HasPrefix(key, "src"):
		_, rest, _ := strings.Cut(value, "://")
		host, _, _ := strings.Cut(rest, "/")
		return of.any && strings.Contains(host[strings.LastIndex(host, "@")+1:], standIn)
	}
	return of.any
}
