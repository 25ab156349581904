package schema

import (
	"testing"

	"gopkg.in/yaml.v3"

	stores "stretcher/internal/fetch/store/all"
	"stretcher/internal/manifest"
	"stretcher/internal/policy"
	"stretcher/internal/text/keys"
)

// paths are the keys of a table at all depths, as mappings that hold each of
// them alone. A list has one element.
func paths(table []keys.Key, held func(any) any) (all []any) {
	for _, k := range table {
		hold := func(v any) any { return held(map[string]any{k.Name: v}) }
		all = append(all, hold(nil), hold(map[string]any{}), hold(""), hold([]any{}), hold([]any{nil}))
		all = append(all, below(k.Value, hold)...)
	}
	return all
}

// below are those below a value.
func below(v keys.Value, held func(any) any) (all []any) {
	switch v := v.(type) {
	case keys.Section:
		return paths(v, held)
	case keys.Named:
		return paths(v.Section, held)
	case keys.List:
		return below(v.Of, func(v any) any { return held([]any{v}) })
	case keys.Map:
		name := func(v any) any { return held(map[string]any{"name": v}) }
		all = append(below(v.Of, name), name(nil), name(map[string]any{}))
		return append(all, paths(v.Known, held)...)
	case keys.Either:
		for _, one := range v {
			all = append(all, below(one, held)...)
		}
	}
	return all
}

// onto puts what a mapping holds onto another one.
func onto(base, more any) any {
	to, ok := base.(map[string]any)
	from, also := more.(map[string]any)
	if !ok || !also {
		return more
	}
	all := map[string]any{}
	for name, value := range to {
		all[name] = value
	}
	for name, value := range from {
		all[name] = onto(to[name], value)
	}
	return all
}

// TestEmptyKeys: of each key of the tables, the schemas say as the program does
// where it holds nothing: null, an empty mapping, text or list.
func TestEmptyKeys(t *testing.T) {
	base := map[string]any{
		"src": "file:///srv/app.tgz", "checksum": "d41d8cd98f00b204e9800998ecf8427e", "dest": "/srv/app",
	}
	grouped := onto(base, map[string]any{"rollout": map[string]any{"hosts": []any{"web1"}}})
	rules := manifest.Rules{Src: stores.List().CheckArchive}
	for _, table := range []struct {
		kind  kind
		keys  []keys.Key
		bases []any
	}{
		{manifests(t), manifest.Keys(rules), []any{base, grouped}},
		{policies(t), policy.Keys(), []any{map[string]any{}}},
	} {
		all := paths(table.keys, func(v any) any { return v })
		for _, one := range all {
			for _, base := range table.bases {
				raw, err := yaml.Marshal(onto(base, one))
				if err != nil {
					t.Fatal(err)
				}
				table.kind.compare(t, "an empty key", raw)
			}
		}
		if len(all) < 100 {
			t.Errorf("%d documents are no whole table", len(all))
		}
	}
}
