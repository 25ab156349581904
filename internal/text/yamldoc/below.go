package yamldoc

import (
	"cmp"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// KeyAt is the key of the scalar that begins at a place; "" = there is none.
func (doc *Document) KeyAt(at Place) string {
	root := doc.root()
	if root == nil {
		return ""
	}
	path, _ := keyAtPlace(root, at)
	return strings.TrimPrefix(path, ".")
}

// keyAtPlace is the path from a node to the scalar, if that is below it. It is put
// together on the way back: paths of all nodes would be long.
func keyAtPlace(n *yaml.Node, at Place) (path string, found bool) {
	if n.Kind == yaml.ScalarNode && placeOf(n) == at {
		return "", true
	}
	for i, child := range n.Content {
		rest, found := keyAtPlace(child, at)
		switch {
		case !found:
			continue
		case n.Kind == yaml.SequenceNode:
			return fmt.Sprintf("[%d]", i) + rest, true
		case i%2 == 0: // in a key
			return "", true
		}
		return "." + n.Content[i-1].Value + rest, true
	}
	return "", false
}

// Names are the anchors and tags of the document, which Fill leaves as they are.
func (doc *Document) Names() []string { return names(&doc.node) }

func names(n *yaml.Node) (all []string) {
	for _, name := range []string{n.Anchor, n.Tag} {
		if name != "" {
			all = append(all, name)
		}
	}
	for _, child := range n.Content {
		all = append(all, names(child)...)
	}
	return all
}

// Below is what stands below a key.
type Below struct {
	Values map[Place]string // the places of scalars, each with the nearest key that is one
	Keys   map[string]bool  // the texts of keys
}

// Below is what stands below a key, wherever the key stands: below top, a key of the
// document, if that is not "". What an alias or a merge key brings there is included,
// and what is null is not.
func (doc *Document) Below(key, top string) Below {
	c := collector{found: Below{map[Place]string{}, map[string]bool{}}, followed: map[*yaml.Node]bool{}}
	root := doc.root()
	switch {
	case root == nil:
	case top == "":
		c.below(root, key)
	case root.Kind == yaml.MappingNode:
		for i := 1; i < len(root.Content); i += 2 {
			if root.Content[i-1].Value == top {
				c.below(root.Content[i], key)
			}
		}
	}
	return c.found
}

// collector notes scalars. What aliases stand for it visits once: there may be more
// ways to it than anybody can go.
type collector struct {
	found    Below
	followed map[*yaml.Node]bool
}

// below notes the scalars below a key that stands somewhere below a node.
func (c collector) below(n *yaml.Node, key string) {
	for i, child := range n.Content { // an alias has none: what it stands for has its own place
		if c.below(child, key); n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == key {
			c.collect(child, key)
		}
	}
}

// collect notes the scalars below a node. name is the key that it is the value of.
func (c collector) collect(n *yaml.Node, name string) {
	switch n.Kind {
	case yaml.AliasNode:
		if !c.followed[n.Alias] {
			c.followed[n.Alias] = true
			c.collect(n.Alias, name)
		}
	case yaml.ScalarNode:
		if !isNull(n) {
			c.found.Values[placeOf(n)] = name
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			c.key(k, name)
			c.collect(n.Content[i+1], cmp.Or(k.Value, name))
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			c.collect(item, name)
		}
	}
}

// key notes the scalars of a key, and what an alias in it stands for.
func (c collector) key(n *yaml.Node, name string) {
	switch n.Kind {
	case yaml.AliasNode:
		c.collect(n, name)
	case yaml.ScalarNode:
		c.found.Keys[n.Value] = true
	default:
		for _, child := range n.Content {
			c.key(child, name)
		}
	}
}
