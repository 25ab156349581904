// Package schema compares the JSON Schemas of manifests and host policies with what
// the program makes of them: what it accepts they must accept, what it refuses for
// its shape they must refuse.
package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	stores "stretcher/internal/fetch/store/all"
	"stretcher/internal/manifest"
	"stretcher/internal/policy"
	strategies "stretcher/internal/strategy/all"
)

// kind is a kind of document: what the program and the schema say of one.
type kind struct {
	schema *jsonschema.Schema
	check  func(raw []byte) error
	known  []exception
	// templates tells that values may be filled in.
	templates bool
}

// exception is why a schema accepts what the program refuses.
type exception struct {
	message *regexp.Regexp // of the program
	why     string
}

// exceptions reads a table of messages and reasons.
func exceptions(table [][2]string) (all []exception) {
	for _, row := range table {
		all = append(all, exception{regexp.MustCompile(row[0]), row[1]})
	}
	return all
}

// manifests are the manifests.
func manifests(t *testing.T) kind {
	t.Helper()
	rules := manifest.Rules{Src: stores.List().CheckArchive, Shared: strategies.CheckShared}
	for _, s := range strategies.List() {
		rules.Kinds = append(rules.Kinds, manifest.Kind{
			Name: s.Name, Sections: s.Sections, Patterns: s.Patterns, Default: s.Default, Prunes: s.Deployments != nil,
		})
	}
	text, err := manifest.Schema(rules)
	if err != nil {
		t.Fatal(err)
	}
	l := &manifest.Loader{
		Policy: &policy.Policy{}, Rules: rules, Secret: func(string, string) {}, Idle: func(string) {},
		Lookup: func(name string) (string, bool) {
			if strings.Contains(name, "SUM") {
				return strings.Repeat("ab", 32), true
			}
			return "x", true
		},
	}
	return kind{compiled(t, text), func(raw []byte) error {
		_, err := l.Parse(raw, nil, "file:///srv/manifests/app.yml", "")
		return err
	}, exceptions(manifestExceptions()), true}
}

// policies are the files of host policies.
func policies(t *testing.T) kind {
	t.Helper()
	text, err := policy.Schema()
	if err != nil {
		t.Fatal(err)
	}
	return kind{compiled(t, text), func(raw []byte) error {
		_, err := policy.Parse("config.yml", raw)
		return err
	}, exceptions(policyExceptions()), false}
}

func compiled(t *testing.T, text []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// compare compares what the program and the schema say of a document. It tells
// whether both refuse it.
func (k kind) compare(t *testing.T, name string, raw []byte) (refused bool) {
	t.Helper()
	value, err := read(raw)
	if err != nil {
		return false // no document that an editor understands
	}
	program, schema := k.check(raw), k.schema.Validate(value)
	switch {
	case program == nil && schema != nil:
		t.Errorf("%s: the schema refuses what the program accepts: %v\n%s", name, schema, raw)
	case program != nil && schema == nil && !k.filled(raw) && k.excepted(program) == "":
		t.Errorf("%s: the schema accepts what the program refuses: %v\n%s", name, program, raw)
	}
	return program != nil && schema != nil
}

// filled tells whether a document has templates: what it is then, the host says.
func (k kind) filled(raw []byte) bool { return k.templates && bytes.Contains(raw, []byte("env ")) }

// excepted is why a schema can't refuse what the program does; "" = it should.
func (k kind) excepted(program error) string {
	for _, e := range k.known {
		if e.message.MatchString(program.Error()) {
			return e.why
		}
	}
	return ""
}

// errUnlike is the error of a document that JSON has nothing like.
var errUnlike = errors.New("is nothing that JSON has")

// read is the value of a document as editors have it: what YAML makes of it.
func read(raw []byte) (any, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return nil, err
	}
	nodes := 0
	value, err := valueOf(&doc, &nodes)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(text))
}

func valueOf(n *yaml.Node, nodes *int) (any, error) {
	if *nodes++; *nodes > 10_000 {
		return nil, errUnlike
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return valueOf(n.Content[0], nodes)
	case yaml.AliasNode:
		return valueOf(n.Alias, nodes)
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			value, err := valueOf(item, nodes)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	case yaml.MappingNode:
		return mappingOf(n, nodes)
	case yaml.ScalarNode:
		return scalarOf(n)
	}
	return nil, nil
}

// mappingOf is a mapping with what is merged into it.
func mappingOf(n *yaml.Node, nodes *int) (map[string]any, error) {
	all := map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, item := n.Content[i], n.Content[i+1]
		value, err := valueOf(item, nodes)
		if err != nil {
			return nil, err
		}
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode { // as a template without quotes is
			return nil, errUnlike
		}
		if _, twice := all[key.Value]; twice && key.Tag != "!!merge" { // which YAML does not allow
			return nil, errUnlike
		}
		if key.Tag != "!!merge" {
			all[key.Value] = value
			continue
		}
		merged, several := value.([]any)
		if !several {
			merged = []any{value}
		}
		for _, m := range merged {
			if err := merge(all, m, n); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// merge adds what a mapping has not itself.
func merge(all map[string]any, value any, n *yaml.Node) error {
	m, ok := value.(map[string]any)
	if !ok {
		return errUnlike
	}
	for name, v := range m {
		own := false
		for i := 0; i < len(n.Content); i += 2 {
			own = own || n.Content[i].Value == name && n.Content[i].Tag != "!!merge"
		}
		if _, there := all[name]; !own && !there {
			all[name] = v
		}
	}
	return nil
}

// scalarOf is what YAML makes of a word: text, a number, true, false or nothing.
func scalarOf(n *yaml.Node) (value any, err error) {
	switch n.ShortTag() {
	case "!!int", "!!float", "!!bool", "!!null":
		if err := n.Decode(&value); err != nil {
			return nil, err
		}
		if f, ok := value.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
			return nil, errUnlike
		}
		return value, nil
	}
	return n.Value, nil
}

// document is one with where it stands.
type document struct {
	name string
	raw  []byte
}

func (d document) String() string { return fmt.Sprintf("%s:\n%s", d.name, d.raw) }
