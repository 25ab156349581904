package yamldoc

import (
	"bytes"
	"errors"
	"fmt"

	"gopkg.in/yaml.v3"
)

// Filler says what is to stand in a document in place of what stands there.
// What its functions return unchanged stays as it is written.
type Filler struct {
	Value   func(text string, at Place) string // of a scalar that is a value or an element of a list
	Key     func(text string) string           // of a scalar in a key
	Comment func(text string) string
}

// Fill replaces scalars of the document, whose structure stays as it is: a
// scalar becomes another one, whatever its new text holds. A plain scalar that
// is replaced has the type that its new text has as a plain scalar: a number,
// a boolean, null when it is empty, or else text. A quoted one or a block
// stays text.
func (doc *Document) Fill(f Filler) { doc.fill(&doc.node, f, false) }

func (doc *Document) fill(n *yaml.Node, f Filler, key bool) {
	for _, c := range []*string{&n.HeadComment, &n.LineComment, &n.FootComment} {
		*c = f.Comment(*c)
	}
	switch {
	case n.Kind == yaml.ScalarNode && key:
		doc.put(n, f.Key(n.Value))
	case n.Kind == yaml.ScalarNode:
		doc.put(n, f.Value(n.Value, placeOf(n)))
	}
	for i, child := range n.Content {
		doc.fill(child, f, key || n.Kind == yaml.MappingNode && i%2 == 0)
	}
}

// put gives a scalar its new text, and remembers what it was.
func (doc *Document) put(n *yaml.Node, text string) {
	was := change{node: n, style: n.Style, text: n.Value}
	if fillScalar(n, text); n.Value != was.text {
		doc.filled = append(doc.filled, was)
	}
}

// quoted are the styles of scalars that are text whatever they hold.
const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// fillScalar gives n its new text. Text is written in double quotes from here
// on: they hold every text, in a list of one line too.
func fillScalar(n *yaml.Node, text string) {
	if text == n.Value {
		return
	}
	n.Value = text
	if n.Style&(quoted|yaml.TaggedStyle) == 0 {
		n.Tag = "" // or the library would stay with the old one
		switch n.Tag = n.ShortTag(); n.Tag {
		case "!!str":
		case "!!merge":
			n.Tag = "!!str" // it is no key
		case "!!null":
			n.Value = "null" // to be seen in a list
			return
		default:
			return
		}
	}
	n.Style = n.Style&^quoted | yaml.DoubleQuotedStyle
}

// Text is the document as YAML, without further documents. It holds the same
// values, and in most documents the comments.
func (doc *Document) Text() ([]byte, error) {
	if doc.root() == nil {
		return nil, nil
	}
	// The library misplaces some comments and block scalars.
	for _, dress := range []func(*yaml.Node){func(*yaml.Node) {}, plain} {
		dress(&doc.node)
		text, err := encode(&doc.node)
		if err != nil {
			continue
		}
		if again, problem := Parse(text); problem == nil && same(&doc.node, &again.node) {
			return text, nil
		}
	}
	return nil, doc.unwritten()
}

// unwritten is why a document can't be written: an alias stands for what is there no
// more, or the library does not bring back what it has read.
func (doc *Document) unwritten() error {
	lost := func(n *yaml.Node) bool {
		return n.Kind == yaml.AliasNode &&
			find(&doc.node, func(a *yaml.Node) bool { return a.Kind != yaml.AliasNode && a.Anchor == n.Value }) == nil
	}
	if n := find(&doc.node, lost); n != nil {
		what := fmt.Sprintf("the alias *%s can't be kept: the key with its anchor is written anew", n.Value)
		return &Problem{Line: n.Line, Message: what, Hint: "write out what the alias stands for"}
	}
	return errors.New("can't be written as YAML")
}

// find is the first node of a tree that is what is looked for.
func find(n *yaml.Node, is func(*yaml.Node) bool) *yaml.Node {
	if is(n) {
		return n
	}
	for _, child := range n.Content {
		if found := find(child, is); found != nil {
			return found
		}
	}
	return nil
}

func encode(n *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	err := guarded(func() error {
		if err := enc.Encode(n); err != nil {
			return err
		}
		return enc.Close()
	})
	return b.Bytes(), err
}

// plain takes away all that is no value: comments, and styles but those of
// text.
func plain(n *yaml.Node) {
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	switch {
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str":
		n.Style = n.Style&yaml.TaggedStyle | yaml.DoubleQuotedStyle
	default:
		n.Style &= yaml.TaggedStyle
	}
	for _, child := range n.Content {
		plain(child)
	}
}

// same tells whether two documents hold the same values.
func same(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Value != b.Value || a.Anchor != b.Anchor || len(a.Content) != len(b.Content) {
		return false
	}
	if a.Kind == yaml.ScalarNode && a.ShortTag() != b.ShortTag() {
		return false
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}
