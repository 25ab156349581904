// Package keys is the table of the keys of a document: for each, what may stand
// there, what holds where nothing does, and what it is for.
//
// Its words: a document is a kind of file that people write, as a manifest; a
// key is a row of its table; a value is what may stand at a key, which tells
// whether something is one, and is written as a part of a JSON Schema. What a
// schema can't say it leaves out: it refuses nothing that the program accepts.
// A schema judges what YAML makes of a document, numbers and all, where the
// program judges what is written.
//
// It imports nothing of this module and knows no keys of its own.
package keys

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Schema is a JSON Schema, or a part of one.
type Schema map[string]any

// Key is a row of the table.
type Key struct {
	Name    string // one word; those of a section are below it
	Value   Value  // what may stand there
	Default string // what holds without it, in Markdown; a value of its own in backquotes, or a number; "" = none
	About   string // what it is for, in Markdown
	Since   string // the version that has it first
}

// Row is a row of the table: a key of version 2.0, as From does not say otherwise.
func Row(name string, value Value, without, about string) Key {
	return Key{name, value, without, about, "2.0"}
}

// From is the row of a key that the version has first.
func (k Key) From(version string) Key {
	k.Since = version
	return k
}

// Value is what may stand at a key.
type Value interface {
	// schema is the value as a part of the schema of a document.
	schema(d *Document) Schema
}

// Document is a kind of file.
type Document struct {
	ID, Title, About string
	Keys             []Key
	// Own is a pattern of the keys at the top that are the author's own; "" =
	// there are none.
	Own string
	// Filled is a pattern of the text that is filled in before it is read; "" =
	// none is.
	Filled string
	// Relaxed tells that a key may hold nothing, and so may elements of lists.
	Relaxed bool
	// Rules are schemas of what spans several keys.
	Rules []Schema

	definitions Schema
}

// Part is the schema of a value of the document, for its rules.
func (d *Document) Part(v Value) Schema { return v.schema(d) }

// JSON is the JSON Schema of the document, draft 7: what editors understand.
func (d *Document) JSON() ([]byte, error) {
	d.definitions = Schema{}
	whole := Section(d.Keys).schema(d)
	whole["$schema"] = "http://json-schema.org/draft-07/schema#"
	whole["$id"], whole["title"], whole["description"] = d.ID, d.Title, d.About
	whole["type"] = "object"
	if d.Own != "" {
		whole["patternProperties"] = Schema{d.Own: true}
	}
	if len(d.Rules) > 0 {
		whole["allOf"] = d.Rules
	}
	if len(d.definitions) > 0 {
		whole["definitions"] = d.definitions
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(whole)
	return out.Bytes(), err
}

// Rows are the rows of a table that have none below them, by their paths: dotted,
// with [] for the elements of a list and * for the names of a mapping.
func Rows(table []Key) (all []Key) {
	seen := map[string]bool{}
	for _, k := range table {
		k.walk(k.Name, k.Value, func(row Key) {
			if !seen[row.Name] {
				all = append(all, row)
			}
			seen[row.Name] = true
		})
	}
	return all
}

// walk tells of the rows at and below a value of k at path.
func (k Key) walk(path string, v Value, tell func(Key)) {
	if !structured(v) {
		k.Name = path
		tell(k)
		return
	}
	switch v := v.(type) {
	case Section:
		for _, inner := range v {
			inner.walk(path+"."+inner.Name, inner.Value, tell)
		}
	case Named:
		k.walk(path, v.Section, tell)
	case List:
		k.walk(path+"[]", v.Of, tell)
	case Map:
		k.walk(path+".*", v.Of, tell)
		for _, known := range v.Known {
			known.walk(path+".*", known.Value, tell)
		}
	case Either:
		for _, one := range v {
			if structured(one) {
				k.walk(path, one, tell)
			}
		}
	}
}

// structured tells whether there are keys below a value.
func structured(v Value) bool {
	switch v := v.(type) {
	case Section, Named:
		return true
	case List:
		return structured(v.Of)
	case Map:
		return structured(v.Of)
	case Either:
		return slices.ContainsFunc(v, structured)
	}
	return false
}

// described is a schema with what people read of a key at path.
func (k Key) described(path string, d *Document) Schema {
	s := k.Value.schema(d)
	if _, ok := s["$ref"]; ok { // nothing beside it counts
		s = Schema{"allOf": []Schema{s}}
	}
	text := k.About
	if text != "" && !strings.HasSuffix(text, ".") {
		text += "."
	}
	if k.Default != "" {
		text += " Default: " + k.Default + "."
	}
	if k.Since != "" {
		text += " Since " + k.Since + "."
	}
	s["title"] = path
	s["markdownDescription"] = text
	s["description"] = strings.ReplaceAll(text, "`", "")
	if v := k.value(); v != nil {
		s["default"] = v
	}
	return s
}

// value is the default, where it is a value of the key's own.
func (k Key) value() any {
	text := strings.Trim(k.Default, "`")
	n, err := strconv.Atoi(text)
	switch {
	case err == nil:
		return n
	case text == k.Default, strings.Contains(text, "`"):
		return nil
	case text == "true" || text == "false":
		return text == "true"
	case strings.HasPrefix(text, "["):
		return strings.Split(strings.Trim(text, "[]"), ", ")
	}
	return text
}

// Section is a mapping with keys of its own.
type Section []Key

func (s Section) schema(d *Document) Schema {
	properties := Schema{}
	for _, k := range s {
		properties[k.Name] = k.described(k.Name, d)
	}
	return Schema{"type": d.or("object"), "properties": properties, "additionalProperties": false}
}

// Named is a section that several keys have: it is written once.
type Named struct {
	Name    string
	Section Section
	// Needs is the key that there must be where there is any; "" = none.
	Needs string
	// Rules are schemas of what spans several keys, where there is a mapping.
	Rules []Schema
}

func (n Named) schema(d *Document) Schema {
	if d.definitions[n.Name] == nil {
		s := n.Section.schema(d)
		if n.Needs != "" {
			s["if"] = Schema{"minProperties": 1}
			s["then"] = Schema{"required": []string{n.Needs}}
		}
		for _, rule := range n.Rules { // what holds nothing has no keys to be ruled
			all, _ := s["allOf"].([]Schema)
			s["allOf"] = append(all, Schema{"if": Schema{"type": "object"}, "then": rule})
		}
		d.definitions[n.Name] = s
	}
	return Schema{"$ref": "#/definitions/" + n.Name}
}

// Either is one of several values.
type Either []Value

func (e Either) schema(d *Document) Schema {
	var all []Schema
	for _, v := range e {
		all = append(all, v.schema(d))
	}
	return Schema{"anyOf": all}
}

// List is a list, which may be written as its only element.
type List struct {
	Of   Value
	Only bool // it may not
}

func (l List) schema(d *Document) Schema {
	of, orEmpty := l.Of, d.orEmpty
	if s, ok := of.(Scalar); ok {
		s.blank = s.blank || d.Relaxed && !s.must
		of = s
		if s.must {
			orEmpty = func(one Schema) Schema { return one }
		}
	}
	one := of.schema(d)
	types, simple := one["type"].([]string)
	switch {
	case !simple: // of several kinds
		all, several := one["anyOf"].([]Schema)
		if !several {
			all = []Schema{one}
		}
		items := Schema{"anyOf": slices.Concat(all, d.nothing(true))}
		return Schema{"anyOf": slices.Concat(all, d.nothing(false), []Schema{{"type": "array", "items": items}})}
	case l.Only:
		return Schema{"type": d.or("array"), "items": orEmpty(one)}
	}
	s := maps.Clone(one)
	s["type"], s["items"] = append(slices.Clone(types), "array"), orEmpty(one)
	return s
}

// nothing are what an element of a list may be that is skipped: blank text, and
// where it is one of several, an empty mapping.
func (d *Document) nothing(element bool) (all []Schema) {
	if d.Relaxed {
		all = append(all, Schema{"type": "string", "pattern": `^\s*$`})
	}
	if d.Relaxed && element {
		all = append(all, Schema{"type": "object", "maxProperties": 0})
	}
	return all
}

// orEmpty is the schema of an element that is a scalar, or an empty mapping where
// elements may hold nothing.
func (d *Document) orEmpty(one Schema) Schema {
	types, ok := one["type"].([]string)
	if !d.Relaxed || !ok {
		return one
	}
	item := maps.Clone(one)
	if slices.Contains(types, "object") { // or it is a template
		delete(item, "minProperties")
		return item
	}
	item["type"], item["maxProperties"] = append(slices.Clone(types), "object"), 0
	return item
}

// Map is a mapping from names to values.
type Map struct {
	Of    Value
	Names string // a pattern that each name has; "" = any
	Known []Key  // names with a meaning
}

func (m Map) schema(d *Document) Schema {
	s := Schema{"type": d.or("object"), "additionalProperties": m.Of.schema(d)}
	if m.Names != "" {
		s["propertyNames"] = Schema{"pattern": m.Names}
	}
	if len(m.Known) > 0 {
		properties := Schema{}
		for _, k := range m.Known {
			properties[k.Name] = k.described(k.Name, d)
		}
		s["properties"] = properties
	}
	return s
}

// Anything is a mapping of anything.
type Anything struct{}

func (Anything) schema(d *Document) Schema { return Schema{"type": d.or("object")} }

// IfSet is the schema of a mapping in which a key holds something.
func IfSet(key string) Schema {
	return Schema{"required": []string{key}, "properties": Schema{key: Schema{"not": Unset()}}}
}

// Unset is the schema of a value that holds nothing.
func Unset() Schema { return Schema{"enum": []any{nil, "", Schema{}, []any{}}} }

// or are the types of a value: those, and nothing where a key may hold nothing.
func (d *Document) or(types ...string) []string {
	if d.Relaxed {
		types = append(types, "null")
	}
	return types
}

// orTemplate adds to the schema of a scalar what a template without quotes is to
// YAML: a mapping whose key is a mapping.
func (d *Document) orTemplate(s Schema) {
	if types, ok := s["type"].([]string); ok && d.Filled != "" {
		s["type"], s["minProperties"] = append(types, "object"), 1
		s["propertyNames"] = Schema{"type": "object"}
	}
}

// orFilled is a pattern, or that of text which is filled in.
func (d *Document) orFilled(pattern string) string {
	if d.Filled == "" {
		return pattern
	}
	return "(?:" + pattern + ")|" + d.Filled
}

// matches tells whether a text has a pattern.
func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }
