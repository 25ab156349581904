package yamldoc

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Lines returns a function that tells on which line of the document a key (a
// dotted path, as in Problem.Key) stands; 0 for a key that does not stand
// there. It is for checks that span several keys and so come after Decode.
func (doc *Document) Lines() func(key string) int {
	index := doc.index()
	return func(key string) int { return index.find(key).key.Line }
}

// Places is Lines for where keys and their values begin. A list of one value
// begins where that does.
func (doc *Document) Places() func(key string) (name, value Place) {
	index := doc.index()
	return func(key string) (name, value Place) {
		e := index.find(key)
		if e.below != nil && len(e.below.items) == 1 {
			e.value = e.below.items[0].value
		}
		return e.key, e.value
	}
}

func (doc *Document) index() *index {
	if root := doc.root(); root != nil {
		return indexed(root)
	}
	return nil
}

// index is where what stands below a node stands. It holds no paths: those of
// a document are together as long as the square of it.
type index struct {
	keys  map[string]entry // of a mapping
	items []entry          // of a list
}

type entry struct {
	key   Place  // of the key, or of the element; the zero value: there is none
	value Place  // what an alias stands for is where that is
	below *index // nil = nothing
}

// entryOf is the entry of a key or element at a place with its value.
func entryOf(at Place, value *yaml.Node) entry {
	if value.Kind == yaml.AliasNode {
		return entry{at, placeOf(value.Alias), nil}
	}
	return entry{at, placeOf(value), indexed(value)}
}

// indexed notes the line of each key below n. Aliases are not followed: what
// they stand for has its own place.
func indexed(n *yaml.Node) *index {
	switch n.Kind {
	case yaml.MappingNode:
		x := &index{keys: make(map[string]entry, len(n.Content)/2)}
		for i := 0; i+1 < len(n.Content); i += 2 {
			x.keys[n.Content[i].Value] = entryOf(placeOf(n.Content[i]), n.Content[i+1])
		}
		return x
	case yaml.SequenceNode:
		x := &index{items: make([]entry, 0, len(n.Content))}
		for _, item := range n.Content {
			x.items = append(x.items, entryOf(placeOf(item), item))
		}
		return x
	}
	return nil
}

// find is the entry of a key. A key of a mapping may hold dots itself.
func (x *index) find(key string) entry {
	if x == nil {
		return entry{}
	}
	if x.keys == nil {
		return x.item(key)
	}
	for i := 0; i <= len(key); i++ {
		if i < len(key) && key[i] != '.' && key[i] != '[' {
			continue
		}
		if e, ok := x.keys[key[:i]]; ok {
			if e = e.at(key[i:]); e.key.Line > 0 {
				return e
			}
		}
	}
	return entry{}
}

// item is find for a list: of a key such as [2] and what is below it.
func (x *index) item(key string) entry {
	number, rest, ok := strings.Cut(strings.TrimPrefix(key, "["), "]")
	i, err := strconv.Atoi(number)
	if !ok || err != nil || key[0] != '[' || i < 0 || i >= len(x.items) {
		return entry{}
	}
	return x.items[i].at(rest)
}

// at is the entry of what is at rest below an entry; "" = the entry itself.
func (e entry) at(rest string) entry {
	if rest == "" {
		return e
	}
	return e.below.find(strings.TrimPrefix(rest, "."))
}

var lineEnd = regexp.MustCompile("\r\n|[\r\n\u0085\u2028\u2029]")

// linesOf are the lines of a text as YAML counts them, with their ends. The last one
// has none.
func linesOf(text []byte) (lines [][]byte) {
	done := 0
	for _, at := range lineEnd.FindAllIndex(text, -1) {
		lines = append(lines, text[done:at[1]:at[1]])
		done = at[1]
	}
	return append(lines, text[done:])
}

const (
	maxDepth = 100     // bounds how deep a document is nested
	maxName  = 1 << 10 // bounds a key, in bytes
)

// excess is what is wrong with a document that is nested too deep, or has a key
// that is too long: paths in it would be longer than what is there to read. nil =
// nothing.
func excess(n *yaml.Node, depth int) *Problem {
	if depth > maxDepth {
		return &Problem{Line: n.Line, Column: n.Column, Message: fmt.Sprintf("is nested deeper than %d levels", maxDepth)}
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			name := child
			if name.Kind == yaml.AliasNode {
				name = name.Alias
			}
			if len(name.Value) > maxName {
				tooLong := fmt.Sprintf("a key has more than %d bytes", maxName)
				return &Problem{Line: child.Line, Column: child.Column, Message: tooLong}
			}
		}
		if p := excess(child, depth+1); p != nil {
			return p
		}
	}
	return nil
}

// Empty lists the keys of the document whose value is null, in its order. Decode
// leaves their fields as they are, as if the keys were not there.
func (doc *Document) Empty() (keys []string) {
	if root := doc.root(); root != nil {
		keys = empty(root, "", nil)
	}
	return keys
}

func empty(n *yaml.Node, path string, keys []string) []string {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			at, value := join(path, n.Content[i].Value), n.Content[i+1]
			if isNull(value) || value.Kind == yaml.AliasNode && isNull(value.Alias) {
				keys = append(keys, at)
			}
			keys = empty(value, at, keys)
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			keys = empty(item, fmt.Sprintf("%s[%d]", path, i), keys)
		}
	}
	return keys
}
