package yamldoc

import (
	"fmt"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Lines returns a function that tells on which line of the document a key (a
// dotted path, as in Problem.Key) stands; 0 for a key that does not stand
// there. It is for checks that span several keys and so come after Decode.
func (doc *Document) Lines() func(key string) int {
	var index *index
	if root := doc.root(); root != nil {
		index = indexed(root)
	}
	return index.line
}

// index is where what stands below a node stands. It holds no paths: those of
// a document are together as long as the square of it.
type index struct {
	keys  map[string]entry // of a mapping
	items []entry          // of a list
}

type entry struct {
	line  int
	below *index // nil = nothing
}

// indexed notes the line of each key below n. Aliases are not followed: what
// they stand for has its own place.
func indexed(n *yaml.Node) *index {
	switch n.Kind {
	case yaml.MappingNode:
		x := &index{keys: make(map[string]entry, len(n.Content)/2)}
		for i := 0; i+1 < len(n.Content); i += 2 {
			x.keys[n.Content[i].Value] = entry{n.Content[i].Line, indexed(n.Content[i+1])}
		}
		return x
	case yaml.SequenceNode:
		x := &index{items: make([]entry, 0, len(n.Content))}
		for _, item := range n.Content {
			x.items = append(x.items, entry{item.Line, indexed(item)})
		}
		return x
	}
	return nil
}

// line is the line of a key. A key of a mapping may hold dots itself.
func (x *index) line(key string) int {
	if x == nil {
		return 0
	}
	if x.keys == nil {
		return x.item(key)
	}
	for i := 0; i <= len(key); i++ {
		if i < len(key) && key[i] != '.' && key[i] != '[' {
			continue
		}
		if e, ok := x.keys[key[:i]]; ok {
			if line := e.at(key[i:]); line > 0 {
				return line
			}
		}
	}
	return 0
}

// item is line for a list: of a key such as [2] and what is below it.
func (x *index) item(key string) int {
	number, rest, ok := strings.Cut(strings.TrimPrefix(key, "["), "]")
	i, err := strconv.Atoi(number)
	if !ok || err != nil || key[0] != '[' || i < 0 || i >= len(x.items) {
		return 0
	}
	return x.items[i].at(rest)
}

// at is the line of what is at rest below an entry; "" = of the entry itself.
func (e entry) at(rest string) int {
	if rest == "" {
		return e.line
	}
	return e.below.line(strings.TrimPrefix(rest, "."))
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
		return &Problem{Line: n.Line, Message: fmt.Sprintf("is nested deeper than %d levels", maxDepth)}
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			name := child
			if name.Kind == yaml.AliasNode {
				name = name.Alias
			}
			if len(name.Value) > maxName {
				return &Problem{Line: child.Line, Message: fmt.Sprintf("a key has more than %d bytes", maxName)}
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
