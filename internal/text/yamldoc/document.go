package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Document is a parsed document.
type Document struct {
	// Relaxed makes warnings of elements of lists that hold nothing: a null, a
	// blank scalar, an empty mapping. Keys at the top that begin with "x-" or
	// "." are the author's own then, for anchors.
	Relaxed bool

	node   yaml.Node
	second int // the line of a second document, which nobody reads; 0 = none
	filled []change
}

// Parse parses the first document of data. The problem says that it is no
// YAML.
func Parse(data []byte) (*Document, *Problem) {
	doc := &Document{}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	err := guarded(func() error { return dec.Decode(&doc.node) })
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, syntax(err, data)
	}
	// What stands behind the document must be read, too: where it is no YAML,
	// somebody has written more than what would be taken for the whole.
	for err == nil {
		var next yaml.Node
		if err = guarded(func() error { return dec.Decode(&next) }); err == nil && doc.second == 0 && len(next.Content) > 0 {
			doc.second = next.Content[0].Line
		}
	}
	if !errors.Is(err, io.EOF) {
		return nil, syntax(err, data)
	}
	if problem := excess(&doc.node, 0); problem != nil {
		return nil, problem
	}
	return doc, nil
}

// Second is the line in which a second document begins, which nobody reads; 0 =
// there is none.
func (doc *Document) Second() int { return doc.second }

// IsMap tells whether the document is a mapping, as those that have keys are.
func (doc *Document) IsMap() bool {
	root := doc.root()
	return root != nil && root.Kind == yaml.MappingNode
}

// root is the node below which all values are, or nil.
func (doc *Document) root() *yaml.Node {
	if len(doc.node.Content) == 0 {
		return nil
	}
	return doc.node.Content[0]
}

// guarded calls the YAML library and makes an error of a panic of its: it has
// some for documents that make no sense, such as a list as a key of a mapping
// that is merged. This is the one place where a panic is caught.
func guarded(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("yaml: makes no sense: %v", p)
		}
	}()
	return call()
}

var syntaxLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// ofAnchor matches what may be a password that begins with a *.
var ofAnchor = regexp.MustCompile(`unknown anchor '.*'`)

// syntax turns the parser's error into a problem.
func syntax(err error, data []byte) *Problem {
	m := syntaxLine.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
	if m == nil {
		return &Problem{Message: "not YAML: " + err.Error()}
	}
	line, _ := strconv.Atoi(m[1])
	said := ofAnchor.ReplaceAllString(m[2], "unknown anchor")
	return &Problem{Line: line, Message: "not YAML: " + said, Hint: syntaxHint(said, data, line)}
}

// quoteColon is what to do about text that YAML takes for a mapping.
const quoteColon = `text that holds ": " must stand in quotes as a whole: 'echo "a: b"'`

// reserved finds a value that begins with a character which no value may begin with.
var reserved = regexp.MustCompile("(?:^|[-:,\\[{])\\s*([@`%])")

// syntaxHint says what a syntax error may come from. The parser is one line
// early at times.
func syntaxHint(message string, data []byte, line int) string {
	switch {
	case strings.Contains(message, "mapping values are not allowed"):
		return quoteColon
	case strings.Contains(message, "unknown anchor"):
		return "a value that begins with * must be quoted"
	case strings.Contains(message, "tab character"):
		return noTab
	case strings.Contains(message, "invalid Unicode character escape"):
		return "YAML has no surrogate pairs: write the character itself (Python: json.dumps(..., ensure_ascii=False))"
	case !strings.Contains(message, "cannot start any token"):
		return ""
	}
	lines := bytes.Split(data, []byte("\n"))
	for _, text := range lines[min(max(line-1, 0), len(lines)):min(line+1, len(lines))] {
		if m := reserved.FindSubmatch(text); m != nil {
			return fmt.Sprintf("a value that begins with %s must be quoted", m[1])
		}
	}
	return noTab
}

const noTab = "YAML is indented with spaces; a tab is not allowed there"
