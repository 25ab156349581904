package yamldoc

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Raw is a part of a document that is kept as it is written, for somebody
// else to read. Aliases in it are expanded, so that it stands by itself.
type Raw struct{ Node *yaml.Node }

// IsMap reports whether the part is a mapping.
func (r Raw) IsMap() bool { return r.Node != nil && r.Node.Kind == yaml.MappingNode }

// Text is the part written as YAML, without comments.
func (r Raw) Text() string {
	if r.Node == nil {
		return ""
	}
	c := (&decoder{}).expanded(r.Node, 0)
	plain(c)
	text, _ := encode(c)
	return string(text)
}

// Scalar is the text of the part, if it is a scalar that holds something.
func (r Raw) Scalar() (text string, ok bool) {
	if r.Node == nil || r.Node.Kind != yaml.ScalarNode || isNull(r.Node) {
		return "", false
	}
	return r.Node.Value, true
}

// raw keeps n, which must be sound: keys that stand once and merge keys that
// name mappings.
func (d *decoder) raw(n *yaml.Node, into *Raw, key string) {
	c := d.expanded(n, 0)
	if d.visited > maxNodes || d.deep > 0 {
		return // Decode says so
	}
	if err := guarded(func() error { return sound(c) }); err != nil {
		text := strings.ReplaceAll(strings.TrimPrefix(err.Error(), "yaml: "), "\n", " ")
		d.problem(&yaml.Node{Line: n.Line}, key, "can't be read: %s", text)
		return
	}
	into.Node = c
}

// sound tells what the library would say of a node when it decodes it, which takes as
// long as the square of the keys of a mapping.
func sound(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		var v any
		return n.Decode(&v)
	}
	lines := map[string]int{} // of keys
	for i, child := range n.Content {
		if err := sound(child); err != nil {
			return err
		}
		switch isKey := n.Kind == yaml.MappingNode && i%2 == 0; {
		case !isKey:
		case child.Kind != yaml.ScalarNode:
			return fmt.Errorf("%s stands for a key", kindName(child))
		case lines[child.Value] > 0:
			return fmt.Errorf("key %q stands twice, on lines %d and %d", child.Value, lines[child.Value], child.Line)
		case child.Tag == "!!merge" && !merges(n.Content[i+1]):
			return fmt.Errorf("%s is no mapping, and no list of them", child.Value)
		default:
			lines[child.Value] = child.Line
		}
	}
	return nil
}

// merges tells whether a merge key can have a value.
func merges(n *yaml.Node) bool {
	if n.Kind != yaml.SequenceNode {
		return n.Kind == yaml.MappingNode
	}
	return !slices.ContainsFunc(n.Content, func(item *yaml.Node) bool { return item.Kind != yaml.MappingNode })
}

// expanded copies n with copies of what its aliases stand for. It stops when
// the document has too many nodes, as one whose anchor holds itself has, or is
// nested too deep.
func (d *decoder) expanded(n *yaml.Node, depth int) *yaml.Node {
	if depth > maxDepth && d.deep == 0 {
		d.deep = n.Line
	}
	if d.visited++; d.visited > maxNodes || d.deep > 0 {
		return n
	}
	if n.Kind == yaml.AliasNode {
		return d.expanded(n.Alias, depth+1)
	}
	c := *n
	c.Anchor, c.Content = "", nil
	for _, child := range n.Content {
		if d.visited > maxNodes || d.deep > 0 {
			break
		}
		c.Content = append(c.Content, d.expanded(child, depth+1))
	}
	return &c
}
