package yamldoc

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// change is a scalar that Fill has changed, and what it was.
type change struct {
	node  *yaml.Node
	style yaml.Style
	text  string
}

// Rewritten is text, which the document was parsed from, with the scalars that
// Fill has changed, and all else as it is written: comments, order, white space.
// put is what changed a line of a block. ok is false where the changes do not fit
// into the lines that they are on.
func (doc *Document) Rewritten(text []byte, put func(line string) string) (made []byte, ok bool) {
	if !utf8.Valid(text) {
		return nil, false // YAML may be UTF-16, whose characters nobody here finds
	}
	for _, whole := range []bool{false, true} { // blocks by their lines, or as one scalar
		if made, ok := doc.rewrite(text, put, whole); ok && doc.Holds(made) {
			return made, true
		}
	}
	return nil, false
}

// Holds tells whether text is a document with the same values, whatever else
// stands there.
func (doc *Document) Holds(text []byte) bool {
	again, problem := Parse(text)
	return problem == nil && again.second > 0 == (doc.second > 0) && same(&doc.node, &again.node)
}

func (doc *Document) rewrite(text []byte, put func(line string) string, whole bool) (made []byte, ok bool) {
	lines := linesOf(text)
	for all := doc.filled; len(all) > 0; {
		line := all[0].node.Line
		n := slices.IndexFunc(all, func(c change) bool { return c.node.Line != line })
		if n < 0 {
			n = len(all)
		}
		var here []change
		if here, all = all[:n], all[n:]; line < 1 || line > len(lines) {
			return nil, false
		}
		if c := here[n-1]; c.isBlock() && c.keepsEnd() && !whole {
			putBlock(lines[line:], put)
			here = here[:n-1]
		} else if c.isBlock() {
			putBlock(lines[line:], func(string) string { return "" })
		}
		if lines[line-1], ok = onLine(lines[line-1], here); !ok {
			return nil, false
		}
	}
	return bytes.Join(lines, nil), true
}

func (c change) isBlock() bool { return c.style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 }

// keepsEnd tells whether the scalar has a line end where it had one.
func (c change) keepsEnd() bool {
	return strings.HasSuffix(c.text, "\n") == strings.HasSuffix(c.node.Value, "\n")
}

// putBlock changes the lines of the block that lines begin with. One of which
// nothing is left goes.
func putBlock(lines [][]byte, put func(line string) string) {
	indent := -1
	for i, line := range lines {
		text := bytes.TrimLeft(line, " ")
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if indent < 0 {
			indent = len(line) - len(text)
		}
		if len(line)-len(text) < indent {
			return
		}
		made := put(string(line))
		if made == string(line) || made == "" {
			lines[i] = []byte(made)
			continue
		}
		made, end := strings.TrimSuffix(made, "\n"), ""
		if bytes.HasSuffix(line, []byte("\n")) {
			end = "\n"
		}
		lines[i] = []byte(strings.ReplaceAll(made, "\n", "\n"+strings.Repeat(" ", indent)) + end)
	}
}

// properties are an anchor and a tag before a scalar.
var properties = regexp.MustCompile(`^(?:[&!][^ \t\r\n]*[ \t]+)*`)

// onLine is a line with what scalars that are on it have become, which are in order.
func onLine(line []byte, changes []change) (made []byte, ok bool) {
	from, column, done := 0, 1, 0
	for _, c := range changes {
		for ; column < c.node.Column; column++ {
			_, n := utf8.DecodeRune(line[from:])
			from += n
		}
		begin := from + len(properties.Find(line[from:]))
		size := c.size(line[begin:])
		text, err := encode(&yaml.Node{
			Kind: yaml.ScalarNode, Tag: c.node.Tag, Value: c.node.Value, Style: c.node.Style &^ yaml.TaggedStyle,
		})
		text = bytes.TrimSuffix(text, []byte("\n"))
		if err != nil || size == 0 || begin < done || bytes.Contains(text, []byte("\n")) {
			return nil, false
		}
		made = append(append(made, line[done:begin]...), text...)
		done = begin + size
	}
	return append(made, line[done:]...), true
}

var (
	inDouble = regexp.MustCompile(`^"(?:[^"\\\n]|\\.)*"`)
	inSingle = regexp.MustCompile(`^'(?:[^'\n]|'')*'`)
	ofBlock  = regexp.MustCompile(`^[|>][-+0-9]*`)
)

// size is how long the scalar is that text begins with; 0 = it does not end on
// its line.
func (c change) size(text []byte) int {
	switch {
	case c.isBlock():
		return len(ofBlock.Find(text))
	case c.style&yaml.DoubleQuotedStyle != 0:
		return len(inDouble.Find(text))
	case c.style&yaml.SingleQuotedStyle != 0:
		return len(inSingle.Find(text))
	case bytes.HasPrefix(text, []byte(c.text)):
		return len(c.text)
	}
	return 0
}
