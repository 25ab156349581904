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
	node   yaml.Node
	second int // the line of a second document, which nobody reads; 0 = none
}

// Parse parses the first document of data. The problem says that it is no
// YAML.
func Parse(data []byte) (*Document, *Problem) {
	doc := &Document{}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	err := guarded(func() error { return dec.Decode(&doc.node) })
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, syntax(err)
	}
	var second yaml.Node
	if guarded(func() error { return dec.Decode(&second) }) == nil && len(second.Content) > 0 {
		doc.second = second.Content[0].Line
	}
	return doc, nil
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

// syntax turns the parser's error into a problem.
func syntax(err error) *Problem {
	m := syntaxLine.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
	if m == nil {
		return &Problem{Message: "not YAML: " + err.Error()}
	}
	line, _ := strconv.Atoi(m[1])
	p := &Problem{Line: line, Message: "not YAML: " + m[2]}
	if strings.Contains(m[2], "tab character") || strings.Contains(m[2], "cannot start any token") {
		p.Hint = "YAML is indented with spaces; a tab is not allowed there"
	}
	return p
}
