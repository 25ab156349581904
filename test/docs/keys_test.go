package docs

import (
	"encoding"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/manifest"
	"stretcher/internal/policy"
	"stretcher/internal/strategy/all"
	"stretcher/internal/text/keys"
	"stretcher/internal/text/yamldoc"
)

// manifestKeys is the table of the keys of manifests.
func manifestKeys() []keys.Key {
	var rules manifest.Rules
	for _, s := range all.List() {
		rules.Kinds = append(rules.Kinds, manifest.Kind{Name: s.Name})
	}
	return manifest.Keys(rules)
}

// TestKeysAreRead: the tables have the keys that are read, and no others.
func TestKeysAreRead(t *testing.T) {
	for name, of := range map[string]struct {
		table []keys.Key
		read  reflect.Type
	}{
		"manifest": {manifestKeys(), reflect.TypeFor[manifest.Manifest]()},
		"policy":   {policy.Keys(), reflect.TypeFor[policy.File]()},
	} {
		var got []string
		for _, row := range keys.Rows(of.table) {
			got = append(got, row.Name)
			if row.About == "" || row.Since == "" {
				t.Errorf("%s: %s has no description, or no version", name, row.Name)
			}
		}
		want := readKeys(of.read)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) || len(want) < 20 {
			t.Errorf("the table of the %s has\n%q, read are\n%q", name, got, want)
		}
	}
}

// readKeys are the keys of a struct that a document is read into, by their paths.
func readKeys(typ reflect.Type) (all []string) {
	for _, f := range reflect.VisibleFields(typ) {
		key := f.Tag.Get("yaml")
		if f.Anonymous || !f.IsExported() || key == "-" {
			continue
		}
		of := f.Type
		for ok := true; ok; {
			key, of, ok = below(key, of)
		}
		if of.Kind() != reflect.Struct || isScalar(of) {
			all = append(all, strings.TrimSuffix(strings.TrimSuffix(key, "[]"), ".*"))
			continue
		}
		for _, inner := range readKeys(of) {
			all = append(all, key+"."+inner)
		}
	}
	return all
}

// below is the type of what a pointer, list or mapping holds, and the path of it.
func below(path string, of reflect.Type) (string, reflect.Type, bool) {
	switch {
	case isScalar(of):
	case of.Kind() == reflect.Pointer:
		return path, of.Elem(), true
	case of.Kind() == reflect.Slice:
		return path + "[]", of.Elem(), true
	case of.Kind() == reflect.Map:
		return path + ".*", of.Elem(), true
	}
	return path, of, false
}

// isScalar tells whether a type is read from text, or kept as it is written.
func isScalar(of reflect.Type) bool {
	return reflect.PointerTo(of).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) ||
		of == reflect.TypeFor[yamldoc.Raw]()
}

// links of Markdown: what they show counts here.
var links = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)

// plainly is a text without links and line breaks.
func plainly(text string) string {
	return links.ReplaceAllString(strings.Join(strings.Fields(text), " "), "$1")
}

// TestPolicyKeysAreDocumented: the table of docs/policy.md has the keys of the
// policy in its first column, and begins to say of each what editors show.
func TestPolicyKeysAreDocumented(t *testing.T) {
	documented := map[string][]string{}
	for _, row := range tableRows(readDoc(t, "docs/policy.md"), "| key | default | |") {
		documented[strings.Trim(row[0], "`")] = row
	}
	table := policy.Keys()
	for _, row := range keys.Rows(table) {
		if name, _, inner := strings.Cut(row.Name, "[]."); inner {
			row.Name = name // an entry of http
			row.Default = "none"
			row.About = table[slices.IndexFunc(table, func(k keys.Key) bool { return k.Name == name })].About
		}
		got := documented[row.Name]
		if len(got) != 3 || got[1] != row.Default || !strings.HasPrefix(plainly(got[2]), row.About) {
			t.Errorf("docs/policy.md has\n%q, the table has\n%q", got, []string{row.Name, row.Default, row.About})
		}
		defer delete(documented, row.Name)
	}
	t.Cleanup(func() {
		for name := range documented {
			t.Errorf("docs/policy.md describes %s, which is no key", name)
		}
	})
}

// TestManifestKeysAreDocumented: docs/manifest.md has a section for each key, and
// a row for each below it, that begin to say what editors show.
func TestManifestKeysAreDocumented(t *testing.T) {
	doc := readDoc(t, "docs/manifest.md")
	text := map[string]string{}
	for _, section := range regexp.MustCompile(`(?m)^##+ `).Split(doc, -1) {
		if m := regexp.MustCompile("(?s)\\A`([a-z_]+)`\n\n(.*)").FindStringSubmatch(section); m != nil {
			text[m[1]] = m[2]
		}
	}
	if table := manifestKeys(); len(text) != len(table) {
		t.Errorf("docs/manifest.md has %d sections for keys, there are %d keys", len(text), len(table))
	}
	for _, k := range manifestKeys() {
		if !strings.HasPrefix(plainly(text[k.Name]), k.About) {
			t.Errorf("docs/manifest.md says of %s\n%.200s, the table\n%s", k.Name, text[k.Name], k.About)
		}
		if k.Name == "hooks" {
			continue // its rows are in docs/hooks.md
		}
		for _, row := range keys.Rows([]keys.Key{k}) {
			if row.Name != k.Name {
				checkRow(t, text[k.Name], row)
			}
		}
	}
	hooks := readDoc(t, "docs/hooks.md")
	for _, row := range keys.Rows(manifestKeys()) {
		if strings.HasPrefix(row.Name, "hooks.") {
			checkRow(t, hooks, row)
		}
	}
}

// checkRow finds the row of a table of doc for a key, with what the table of keys
// says.
func checkRow(t *testing.T, doc string, row keys.Key) {
	t.Helper()
	name := row.Name[strings.LastIndex(row.Name, ".")+1:]
	list, inList := strings.CutSuffix(row.Name, "[]."+name)
	if point, of := strings.CutPrefix(list, "commands."); inList && of {
		if !strings.Contains(doc, "\n| `"+point+"` |") {
			t.Errorf("docs/manifest.md has no table row for commands.%s", point)
		}
	}
	m := regexp.MustCompile("(?m)^\\| `" + name + "` \\|(.*)\\|$").FindStringSubmatch(doc)
	if m == nil {
		t.Errorf("no table row for %s", row.Name)
		return
	}
	var cells []string
	for _, cell := range strings.Split(strings.ReplaceAll(m[1], "| |", "|  |"), " | ") {
		cells = append(cells, plainly(cell))
	}
	says := slices.ContainsFunc(cells, func(cell string) bool { return strings.HasPrefix(cell, row.About) })
	if !says || row.Default != "" && !slices.Contains(cells, row.Default) {
		t.Errorf("%s: the row is\n%q, the table has\n%q, %q", row.Name, cells, row.About, row.Default)
	}
}
