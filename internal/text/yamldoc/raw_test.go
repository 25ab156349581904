package yamldoc

import (
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

type withRaw struct {
	Base   Raw `yaml:"base"`
	Config Raw `yaml:"config"`
}

func TestRaw(t *testing.T) {
	for _, tc := range []struct{ name, doc, want string }{
		{"scalars as written", "config: {v: 1.10, b: yes, n: 0x1F, s: '1'}", "{v: 1.10, b: yes, n: 0x1F, s: '1'}\n"},
		{"list", "config: [a, {b: c}]", "[a, {b: c}]\n"},
		{"alias", "base: &x\n  a: 1\nconfig:\n  b: *x\n  c: *x\n", "b:\n    a: 1\nc:\n    a: 1\n"},
		{"anchor", "config:\n  a: &x [1]\n  b: *x\n", "a: [1]\nb: [1]\n"},
		{"merges", "base: &x {a: 1}\nconfig: {<<: [*x, {b: 1}], c: {<<: *x}}\n",
			"{!!merge <<: [{a: 1}, {b: 1}], c: {!!merge <<: {a: 1}}}\n"},
		{"alias as a whole", "base: &x {a: 1}\nconfig: *x\n", "{a: 1}\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var v withRaw
			if warnings, problems := Decode([]byte(tc.doc), &v); len(warnings)+len(problems) > 0 {
				t.Fatalf("%v, %v", warnings, problems)
			}
			got, err := yaml.Marshal(v.Config.Node)
			if err != nil || string(got) != tc.want {
				t.Errorf("kept %q, %v, want %q", got, err, tc.want)
			}
			if v.Config.IsMap() == (tc.name == "list") {
				t.Errorf("a map: %t", v.Config.IsMap())
			}
		})
	}
	var v withRaw
	if _, problems := Decode([]byte("config:\nbase: {a: 1}"), &v); len(problems) > 0 || v.Config.Node != nil ||
		v.Config.IsMap() {
		t.Errorf("null: %v, %+v", problems, v.Config)
	}
}

func TestRawThatIsWrong(t *testing.T) {
	bomb := "base:\n- &l0 [x, x, x, x, x, x, x, x, x, x]\n"
	for _, n := range []string{"1", "2", "3", "4", "5"} {
		before := string(n[0] - 1)
		bomb += "- &l" + n + " [" + strings.Repeat("*l"+before+", ", 10) + "]\n"
	}
	for name, tc := range map[string]struct{ doc, want string }{
		"twice":     {"config:\n  a: 1\n  a: 2\n", `config: can't be read: key "a" stands twice, on lines 2 and 3`},
		"deep":      {"config: [{a: {b: 1, 'b': 2}}]\n", `can't be read: key "b" stands twice, on lines 1 and 1`},
		"a map":     {"config: {? {a: b} : c}\n", "can't be read: a mapping stands for a key"},
		"merged":    {"config: {<<: {a: 1}, <<: {b: 1}}\n", `can't be read: key "<<" stands twice`},
		"no type":   {"config: [!!float x]\n", "can't be read: "},
		"bomb":      {bomb + "config: *l5\n", "more than 100000 values"},
		"itself":    {"config: &x\n  a: *x\n", "nested deeper than 100 levels when its aliases are expanded"},
		"panic":     {"config: {1: one, <<: {? [1] : b}}", "config: can't be read: "}, // the library hashes a list
		"no merge":  {"config: {<<: [1]}\n", "config: can't be read: << is no mapping, and no list of them"},
		"no merges": {"config: {<<: x}\n", "config: can't be read: << is no mapping, and no list of them"},
	} {
		var v withRaw
		_, problems := Decode([]byte(tc.doc), &v)
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), tc.want) {
			t.Errorf("%s: problems = %v, want %s", name, problems, tc.want)
		}
	}
}
