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

// ValuesOf are the places of the scalars below a key, wherever the key stands, each
// with the nearest key that is a scalar. What an alias or a merge key brings there
// is included, and what is null is not.
func (doc *Document) ValuesOf(key string) map[Place]string {
	found := map[Place]string{}
	if root := doc.root(); root != nil {
		valuesOf(root, key, found)
	}
	return found
}

func valuesOf(n *yaml.Node, key string, found map[Place]string) {
	for i, child := range n.Content { // an alias has none: what it stands for has its own place
		if valuesOf(child, key, found); n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == key {
			collect(child, key, found, 0)
		}
	}
}

// maxFollowed bounds the aliases that are followed one after the other.
const maxFollowed = 10

// collect notes the scalars below a node. name is the key that it is the value of.
func collect(n *yaml.Node, name string, found map[Place]string, followed int) {
	switch n.Kind {
	case yaml.AliasNode:
		if followed < maxFollowed {
			collect(n.Alias, name, found, followed+1)
		}
	case yaml.ScalarNode:
		if !isNull(n) {
			found[placeOf(n)] = name
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			collect(n.Content[i+1], cmp.Or(n.Content[i].Value, name), found, followed)
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			collect(item, name, found, followed)
		}
	}
}
