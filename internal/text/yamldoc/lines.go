package yamldoc

import (
	"fmt"

	"gopkg.in/yaml.v3"
)

// Lines returns a function that tells on which line of the document a key (a
// dotted path, as in Problem.Key) stands; 0 for a key that does not stand
// there. It is for checks that span several keys and so come after Decode.
func (doc *Document) Lines() func(key string) int {
	lines := map[string]int{}
	if root := doc.root(); root != nil {
		record(root, "", lines)
	}
	return func(key string) int { return lines[key] }
}

// record notes the line of each key below n. Aliases are not followed: what
// they stand for has its own place.
func record(n *yaml.Node, path string, lines map[string]int) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			at := join(path, n.Content[i].Value)
			lines[at] = n.Content[i].Line
			record(n.Content[i+1], at, lines)
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			lines[at] = item.Line
			record(item, at, lines)
		}
	}
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
