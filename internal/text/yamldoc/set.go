package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Entry is a key at the top of a document with its value: a scalar, or a list of
// scalars.
type Entry struct {
	Key   string
	Value any
}

// Set gives keys at the top of a document new values, whatever stands there, and
// adds those that are missing behind the others. All else stays as it is written,
// comments included, where the document has a line for each key; one in braces,
// as JSON is, is written anew.
func Set(text []byte, entries []Entry) ([]byte, error) {
	doc, problem := Parse(text)
	if problem != nil {
		return nil, problem
	}
	if len(entries) == 0 {
		return text, nil
	}
	want, err := doc.with(entries)
	if err != nil {
		return nil, err
	}
	if made, err := doc.edit(text, entries); err == nil {
		again, problem := Parse(made)
		if problem == nil && (again.second > 0) == (doc.second > 0) && same(&want.node, &again.node) {
			return made, nil
		}
	}
	return want.Text()
}

// keyAt is the index of a key in the content of a mapping, or -1.
func keyAt(mapping *yaml.Node, key string) int {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return i
		}
	}
	return -1
}

// with is a copy of the document with the entries.
func (doc *Document) with(entries []Entry) (*Document, error) {
	made := &Document{node: yaml.Node{Kind: yaml.DocumentNode}}
	root := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	if old := doc.root(); old != nil && !isNull(old) {
		if old.Kind != yaml.MappingNode {
			return nil, fmt.Errorf("the document is %s where a mapping belongs", kindName(old))
		}
		*root = *old
		root.Content = slices.Clone(old.Content)
	}
	made.node.Content = []*yaml.Node{root}
	for _, e := range entries {
		value := &yaml.Node{}
		if err := value.Encode(e.Value); err != nil {
			return nil, err
		}
		if i := keyAt(root, e.Key); i >= 0 {
			root.Content[i+1] = value
		} else {
			key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: e.Key}
			root.Content = append(root.Content, inStyle(root, key), value)
		}
		inStyle(root, value)
	}
	return made, nil
}

// inStyle writes text in a mapping in braces as JSON has it.
func inStyle(mapping, n *yaml.Node) *yaml.Node {
	if mapping.Style&yaml.FlowStyle != 0 && n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// edit writes the entries into the text.
func (doc *Document) edit(text []byte, entries []Entry) ([]byte, error) {
	e := editor{lines: linesOf(text)}
	if root := doc.root(); root != nil && !isNull(root) {
		if root.Style&yaml.FlowStyle != 0 {
			return nil, errors.New("the keys have no lines of their own")
		}
		e.root = root
		e.indent = strings.Repeat(" ", root.Column-1)
	}
	e.end = e.endOf(len(e.lines))
	made := map[int][]byte{} // by the line that it begins in
	var added []byte
	for _, entry := range entries {
		line, err := yaml.Marshal(map[string]any{entry.Key: entry.Value})
		if err != nil {
			return nil, err
		}
		line = e.indented(line)
		first, last, comment := e.find(entry.Key)
		if first < 0 {
			added = append(added, line...)
			continue
		}
		if comment != "" && bytes.Count(line, []byte("\n")) == 1 {
			line = fmt.Appendf(bytes.TrimSuffix(line, []byte("\n")), " %s\n", comment)
		}
		made[first] = line
		for i := first; i <= last; i++ {
			e.lines[i] = nil
		}
	}
	return e.join(made, added), nil
}

// editor works on the lines of a document.
type editor struct {
	lines  [][]byte // with their ends
	root   *yaml.Node
	indent string
	end    int // the line behind the document
}

// endOf is the line behind the document that the root is in.
func (e *editor) endOf(end int) int {
	from := 0
	if e.root != nil {
		from = e.root.Line - 1
	}
	for i := from; i < end; i++ {
		line := string(bytes.TrimRight(e.lines[i], "\r\n"))
		for _, mark := range []string{"---", "..."} {
			if rest, ok := strings.CutPrefix(line, mark); i > from && ok && (rest == "" || rest[0] == ' ') {
				return i
			}
		}
	}
	return end
}

// find gives the lines that a key with its value has, and the comment behind it;
// -1 where there is none. What follows the value, blank lines and comments, is
// not part of it.
func (e *editor) find(key string) (first, last int, comment string) {
	if e.root == nil {
		return -1, -1, ""
	}
	at := keyAt(e.root, key)
	if at < 0 {
		return -1, -1, ""
	}
	next := e.end
	if at+2 < len(e.root.Content) {
		next = min(next, e.root.Content[at+2].Line-1)
	}
	first = e.root.Content[at].Line - 1
	for last = next - 1; last > first; last-- {
		if line := bytes.TrimSpace(e.lines[last]); len(line) > 0 && line[0] != '#' {
			break
		}
	}
	value := e.root.Content[at+1]
	if first == last {
		comment = value.LineComment
	}
	return first, last, comment
}

// indented sets lines in as the keys of the document are.
func (e *editor) indented(lines []byte) []byte {
	if e.indent == "" {
		return lines
	}
	var out []byte
	for line := range bytes.Lines(lines) {
		out = append(append(out, e.indent...), line...)
	}
	return out
}

// join puts the lines together.
func (e *editor) join(made map[int][]byte, added []byte) []byte {
	var out []byte
	for i, line := range e.lines {
		if i == e.end {
			out = append(ended(out), added...)
		}
		out = append(append(out, made[i]...), line...)
	}
	if e.end == len(e.lines) {
		out = append(ended(out), added...)
	}
	return out
}

// ended is text whose last line has an end.
func ended(text []byte) []byte {
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	return text
}
