// Package yamldoc reads a YAML document into a struct and says of everything
// that is wrong with it which key, value and line it is.
//
// Its words: a problem is something that makes the document unusable; a
// warning is a key nobody reads, with the nearest key that exists. Scalars
// are taken as they are written ("1.10" stays "1.10", "yes" stays "yes"):
// types come from the struct, not from YAML's guesses. A list may be written
// as its only element. Anchors, aliases and merge keys work, bounded. A document
// is filled when scalars of it are replaced after it was parsed, which changes
// no structure. A document for people is relaxed: an element of a list that
// holds nothing is a warning there.
//
// It imports no other package of this module and knows no keys of its own.
package yamldoc

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Place is where something begins in a document: both count from 1, in
// characters; 0 = not known.
type Place struct{ Line, Column int }

// placeOf is where a node begins.
func placeOf(n *yaml.Node) Place { return Place{n.Line, n.Column} }

// Problem is one thing wrong with a document.
type Problem struct {
	Line    int    // from 1; 0 = the document as a whole
	Column  int    // from 1; 0 = not known
	Spot    Place  // where the value begins that it is about; Line = 0: there is none
	Key     string // dotted path, such as commands.pre[1].timeout; may be ""
	Value   string // the offending scalar; "" when there is none to show
	Message string
	Hint    string // what to do, or ""
	Inline  bool   // Error says the hint, too
	Within  string // key that it is in, where Key is "" since Error is not to say it
	Idle    bool   // a warning of what changes nothing
}

// Error is one line: line, key, value and what is wrong.
func (p *Problem) Error() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Key != "" {
		b.WriteString(clip(printable(p.Key), maxKey) + ": ")
	}
	b.WriteString(p.What())
	if p.Inline && p.Hint != "" {
		b.WriteString(", " + p.Hint)
	}
	return b.String()
}

// What is what is wrong, without where, and without the hint.
func (p *Problem) What() string {
	if p.Value == "" {
		return p.Message
	}
	return fmt.Sprintf("%q %s", clip(p.Value, maxValue), p.Message)
}

// printable quotes a key that would break the line it is shown in.
func printable(key string) string {
	if q := strconv.Quote(key); q != `"`+key+`"` {
		return q
	}
	return key
}

// maxValue and maxKey bound what an error repeats, in characters.
const (
	maxValue = 60
	maxKey   = 200
)

// clip keeps what is repeated in an error to a readable length.
func clip(s string, length int) string {
	if r := []rune(s); len(r) > length {
		return string(r[:length]) + "…"
	}
	return s
}

// ShortForm is implemented by struct types that may also be written as one
// scalar.
type ShortForm interface{ FromScalar(string) error }

// ListForm is implemented by map types that may also be written as a list of
// scalars.
type ListForm interface{ FromList([]string) error }

// maxNodes bounds what a document expands to through its aliases.
const maxNodes = 100_000

// Decode reads the first document of data into the struct that into points
// to: see Document.Decode.
func Decode(data []byte, into any) (warnings, problems []*Problem) {
	doc, problem := Parse(data)
	if problem != nil {
		return nil, []*Problem{problem}
	}
	return doc.Decode(into)
}

// Decode reads the document into the struct that into points to, by its yaml
// tags. It returns warnings and problems in document order; into is only to be
// used when there is no problem. The keys of an embedded struct stand in the
// document as if they were those of the struct that it is in.
//
// Field types: string, bool, signed integers, encoding.TextUnmarshaler, Raw,
// structs, slices, pointers to and maps from string to any of these, and what
// implements ShortForm or ListForm. A null leaves its field as it is, and is a
// nil pointer in a map of pointers. An element of a list that holds nothing is
// a problem; in a relaxed document it is a warning, and the zero value.
func (doc *Document) Decode(into any) (warnings, problems []*Problem) {
	d := &decoder{relaxed: doc.Relaxed}
	if doc.second > 0 {
		d.warnings = append(d.warnings, &Problem{Line: doc.second, Column: 1,
			Message: "a second document begins here and is not read"})
	}
	if root := doc.root(); root == nil || isNull(root) {
		d.problem(nil, "", "the document is empty")
	} else if d.node(root, reflect.ValueOf(into).Elem(), ""); d.visited > maxNodes {
		tooMany := fmt.Sprintf("the document has more than %d values when its aliases are expanded", maxNodes)
		d.problems = []*Problem{{Message: tooMany}}
	} else if d.deep > 0 {
		tooDeep := fmt.Sprintf("is nested deeper than %d levels when its aliases are expanded", maxDepth)
		d.problems = []*Problem{{Line: d.deep, Message: tooDeep}}
	}
	return d.warnings, d.problems
}

type decoder struct {
	relaxed            bool
	warnings, problems []*Problem
	visited, merges    int
	deep               int // the line of what is nested too deep; 0 = nothing is
}

// maxTold bounds how many warnings and problems are kept, each: there may be one
// for each value.
const maxTold = 10_000

func (d *decoder) problem(n *yaml.Node, key, format string, args ...any) {
	p := &Problem{Key: key, Message: fmt.Sprintf(format, args...)}
	if n != nil {
		p.Line, p.Column, p.Spot = n.Line, n.Column, placeOf(n)
		if n.Kind == yaml.ScalarNode && !isNull(n) {
			p.Value = n.Value
		}
	}
	if len(d.problems) < maxTold {
		d.problems = append(d.problems, p)
	}
}

func (d *decoder) warn(p *Problem) {
	if len(d.warnings) < maxTold {
		d.warnings = append(d.warnings, p)
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// node reads n into v, whatever v's type is.
func (d *decoder) node(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if d.visited++; d.visited > maxNodes || isNull(n) {
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch target := v.Addr().Interface().(type) {
	case *Raw:
		d.raw(n, target, key)
		return
	case encoding.TextUnmarshaler:
		d.scalar(n, key, func(s string) error { return target.UnmarshalText([]byte(s)) })
		return
	case ShortForm:
		if n.Kind == yaml.ScalarNode {
			d.scalar(n, key, target.FromScalar)
			return
		}
	case ListForm:
		if n.Kind == yaml.SequenceNode {
			d.list(n, key, target.FromList)
			return
		}
	}
	d.kind(n, v, key)
}

// list hands the scalars of n to set.
func (d *decoder) list(n *yaml.Node, key string, set func([]string) error) {
	var items []string
	before := len(d.problems)
	d.sequence(n, reflect.ValueOf(&items).Elem(), key)
	if len(d.problems) > before {
		return
	}
	if err := set(items); err != nil {
		d.problem(n, key, "%s", err)
	}
}

// kind reads n into v by v's kind.
func (d *decoder) kind(n *yaml.Node, v reflect.Value, key string) {
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, key)
	case reflect.Map:
		d.mapping(n, v, key)
	case reflect.Slice:
		d.sequence(n, v, key)
	case reflect.String:
		d.scalar(n, key, func(s string) error { v.SetString(s); return nil })
	case reflect.Bool:
		d.scalar(n, key, func(s string) error { return setBool(v, s) })
	case reflect.Int, reflect.Int64:
		d.scalar(n, key, func(s string) error { return setInt(v, s) })
	default:
		panic("yamldoc: unsupported field type " + v.Type().String())
	}
}

// setBool takes the words of YAML 1.1 too: manifests for programs that are read
// by it have yes and on.
func setBool(v reflect.Value, s string) error {
	switch strings.ToLower(s) {
	case "yes", "on":
		s = "true"
	case "no", "off":
		s = "false"
	}
	b, err := strconv.ParseBool(s)
	if err != nil {
		return errors.New("is not true or false")
	}
	v.SetBool(b)
	return nil
}

func setInt(v reflect.Value, s string) error {
	i, err := strconv.ParseInt(s, 10, v.Type().Bits())
	if err != nil {
		return errors.New("is not a whole number")
	}
	v.SetInt(i)
	return nil
}

// scalar hands n's text to set; what set returns completes the sentence that
// begins with the value.
func (d *decoder) scalar(n *yaml.Node, key string, set func(string) error) {
	if n.Kind != yaml.ScalarNode {
		d.problem(n, key, "is %s where a single value belongs", kindName(n))
		return
	}
	if err := set(n.Value); err != nil {
		d.problem(n, key, "%s", err)
	}
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	default:
		return "a single value"
	}
}

func (d *decoder) sequence(n *yaml.Node, v reflect.Value, key string) {
	items, many := []*yaml.Node{n}, n.Kind == yaml.SequenceNode
	if many {
		items = n.Content
	} else if n.Kind == yaml.MappingNode && v.Type().Elem().Kind() != reflect.Struct {
		d.problem(n, key, "is a mapping where a list belongs")
		return
	}
	for i, item := range items {
		at := key
		if many {
			at = fmt.Sprintf("%s[%d]", key, i)
		}
		if isNull(item) && !d.relaxed {
			d.problem(item, at, "is empty")
			continue
		}
		e := reflect.New(v.Type().Elem()).Elem()
		if d.relaxed {
			d.element(item, e, at)
		} else {
			d.node(item, e, at)
		}
		v.Set(reflect.Append(v, e))
	}
}

// element reads an element of a list that may hold nothing. One that holds
// something must mean something.
func (d *decoder) element(n *yaml.Node, v reflect.Value, key string) {
	if holdsNothing(n) {
		d.warn(&Problem{Line: n.Line, Column: n.Column, Key: key, Message: "is empty and is skipped", Idle: true})
		return
	}
	before := len(d.problems)
	if d.node(n, v, key); v.IsZero() && len(d.problems) == before {
		d.problem(n, key, "sets none of the keys that belong there")
	}
}

// holdsNothing tells whether an element of a list can't mean anything.
func holdsNothing(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return isNull(n) || n.Kind == yaml.ScalarNode && strings.TrimSpace(n.Value) == "" ||
		n.Kind == yaml.MappingNode && len(n.Content) == 0
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, key string) {
	pairs, ok := d.pairs(n, key)
	if !ok {
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, p := range pairs {
		e := reflect.New(v.Type().Elem()).Elem()
		d.node(p.value, e, join(key, p.key.Value))
		v.SetMapIndex(reflect.ValueOf(p.key.Value).Convert(v.Type().Key()), e)
	}
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, key string) {
	pairs, ok := d.pairs(n, key)
	if !ok {
		return
	}
	known := keys(v.Type())
	for _, p := range pairs {
		at := join(key, p.key.Value)
		i, ok := known[p.key.Value]
		if !ok && key == "" && d.relaxed && isHelper(p.key.Value) {
			continue
		}
		if !ok && len(d.warnings) < maxTold { // which takes long to make
			d.warn(unknown(p.key, at, known))
		}
		if !ok {
			continue
		}
		d.node(p.value, v.FieldByIndex(i), at)
	}
}

// isHelper tells whether a key is there for the anchors below it alone.
func isHelper(key string) bool { return strings.HasPrefix(key, "x-") || strings.HasPrefix(key, ".") }

// keys returns the index of the field of each key of a struct type, the
// keys of embedded structs included.
func keys(t reflect.Type) map[string][]int {
	m := make(map[string][]int, t.NumField())
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name != "" && name != "-" {
			m[name] = f.Index
		}
	}
	return m
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
