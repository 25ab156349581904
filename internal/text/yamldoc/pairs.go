package yamldoc

import (
	"sort"
	"strings"

	"github.com/agext/levenshtein"
	"gopkg.in/yaml.v3"
)

// maxMerges bounds the merge keys followed in one document.
const maxMerges = 1000

type pair struct{ key, value *yaml.Node }

// pairs returns the keys and values of a mapping, those of its merge keys
// included (https://yaml.org/type/merge.html: the mapping's own keys win, and
// of several merged mappings the first).
func (d *decoder) pairs(n *yaml.Node, path string) ([]pair, bool) {
	if n.Kind != yaml.MappingNode {
		d.problem(n, path, "is %s where a mapping belongs", kindName(n))
		return nil, false
	}
	var own []pair
	var merged []*yaml.Node
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		switch {
		case k.Tag == "!!merge":
			merged = append(merged, sources(v)...)
		case k.Kind != yaml.ScalarNode:
			d.problem(k, path, "has %s for a key", kindName(k))
		case seen[k.Value] > 0:
			at := &yaml.Node{Line: k.Line, Column: k.Column} // its value is not shown
			d.problem(at, join(path, k.Value), "stands twice, on lines %d and %d", seen[k.Value], k.Line)
		default:
			seen[k.Value] = k.Line
			own = append(own, pair{k, v})
		}
	}
	return d.merge(own, seen, merged, path), true
}

// sources are the mappings that the value of a merge key names.
func sources(v *yaml.Node) []*yaml.Node {
	if v.Kind == yaml.SequenceNode {
		return v.Content
	}
	return []*yaml.Node{v}
}

func (d *decoder) merge(own []pair, seen map[string]int, merged []*yaml.Node, path string) []pair {
	for _, m := range merged {
		if m.Kind == yaml.AliasNode {
			m = m.Alias
		}
		d.visited += len(m.Content) / 2
		if d.merges++; d.merges > maxMerges || d.visited > maxNodes {
			d.visited = maxNodes + 1 // a mapping that merges itself, or a bomb
			break
		}
		inherited, _ := d.pairs(m, path)
		for _, p := range inherited {
			if seen[p.key.Value] == 0 {
				seen[p.key.Value] = p.key.Line
				own = append(own, p)
			}
		}
	}
	return own
}

// unknown warns of a key nobody reads and names the nearest that exists.
func unknown(k *yaml.Node, at string, known map[string][]int) *Problem {
	p := &Problem{Line: k.Line, Column: k.Column, Key: at, Message: "unknown key"}
	if strings.ContainsAny(k.Value, " \t\n") {
		p.Hint = quoteColon
		return p
	}
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	sort.Strings(names)
	best := max(2, len(k.Value)/3) + 1
	for _, name := range names {
		if max(len(k.Value)-len(name), len(name)-len(k.Value)) >= best {
			continue // so many letters more or less
		}
		if dist := levenshtein.Distance(k.Value, name, nil); dist < best {
			best, p.Hint = dist, "did you mean \""+name+"\"?"
		}
	}
	return p
}
