package schema

import (
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"stretcher/internal/manifest"
)

// rounds is how many documents are made at random; STRETCHER_SCHEMA_ROUNDS and
// STRETCHER_SCHEMA_SEED say otherwise.
const rounds = 3000

func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// mutator makes documents like others, with something changed.
type mutator struct {
	*rand.Rand
	words []string // values, and keys
}

// pool are words that mean something somewhere.
func pool() []string {
	words := strings.Fields(`0 1 2 5 16 17 100 101 1000 1001 10000 10001 -1 +1 007 1.5 1e3 true false yes no
		on off ~ null 0755 0o755
		755 02775 09 5GiB 500MB 1.5TiB big 30s 90s 5m 1h30m soon 90d 1.5d 36h 0s / /srv/app /srv/* srv/app ../x
		a/../b ./a . .. x/ * allow deny strict compat loose rsync native releases mv copy post verify pre pass
		fail always reflink hard none md5:abcd NAME A=B post_sync web s3://bucket s3://bucket/key s3://bucket/
		gs://b/k az://acct/box/key az://acct/box http://host/a.tar https://host http:///a ftp://host/a
		file:///a.tar file:/a.tar file://host/a oci://r.example/app:1 oci://r.example/app app.tar //h/a
		git@host:a.git https://git.example/a.git ext::sh v1.0 -x 2036-12-01T00:00:00Z 2036-13-01T00:00:00Z
		2036-12-01 9f86d081884c7d659a2feaa0c55ad015`)
	return append(words, "", " ", "a b", "run: x", strings.Repeat("ab", 32), "sha256:"+strings.Repeat("ab", 32),
		"sha1:"+strings.Repeat("ab", 20), "~/x", "x\x00y")
}

func (m *mutator) word() string { return m.words[m.IntN(len(m.words))] }

// scalar is a word, in quotes or not, or nothing.
func (m *mutator) scalar() *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: m.word()}
	if m.IntN(3) == 0 || strings.TrimSpace(n.Value) != n.Value || n.Value == "" || strings.Contains(n.Value, "\x00") {
		n.Style = yaml.DoubleQuotedStyle
		n.Tag = "!!str"
	}
	return n
}

// nodes are all values of a document.
func nodes(n *yaml.Node) (all []*yaml.Node) {
	all = append(all, n)
	for i, child := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			all = append(all, nodes(child)...)
		}
	}
	return all
}

// mutate changes something below a node.
func (m *mutator) mutate(doc *yaml.Node) {
	all := nodes(doc.Content[0])
	n := all[m.IntN(len(all))]
	switch m.IntN(8) {
	case 0, 1, 2:
		*n = *m.scalar()
	case 3:
		was := *n
		*n = yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{&was}}
		if m.IntN(2) == 0 {
			n.Content = append(n.Content, m.scalar())
		}
	case 4:
		was := *n
		*n = yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: "run"}, &was}}
	case 5:
		*n = yaml.Node{Kind: []yaml.Kind{yaml.MappingNode, yaml.SequenceNode}[m.IntN(2)], Style: yaml.FlowStyle}
	default:
		m.inside(n)
	}
}

// inside takes a key or an element away, gives a key another name, or adds one.
func (m *mutator) inside(n *yaml.Node) {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		if n.Kind == yaml.SequenceNode {
			n.Content = append(n.Content, m.scalar())
		}
		return
	}
	i := m.IntN(len(n.Content)/2) * 2
	switch m.IntN(3) {
	case 0:
		n.Content = slices.Delete(n.Content, i, i+2)
	case 1:
		n.Content[i].Value += "x"
	default:
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: m.key()}, m.scalar())
	}
}

// key is a name that is a key somewhere.
func (m *mutator) key() string {
	all := strings.Fields(`src checksum dest dest_mode sync_strategy releases keep link shared rollback
		rerun native excludes
		exclude_from extract limits archive unpacked files fetch connections commands pre post run timeout cwd
		env name version serial expires annotations config hooks path repo ref dockerfile environment
		run_condition concurrent strip_components index allow trust keys threshold history json log cache size
		run_as require_state http url ca netrc client_cert client_key dirs required term_after kill_after engine
		manifests sources dests names users x-mine nmae`)
	return all[m.IntN(len(all))]
}

// like compares documents like the good ones.
func (k kind) like(t *testing.T, good []document) {
	t.Helper()
	seed := setting(t, "STRETCHER_SCHEMA_SEED", 1)
	m := &mutator{rand.New(rand.NewPCG(uint64(seed), 0)), pool()}
	compared, refused := 0, 0
	for range setting(t, "STRETCHER_SCHEMA_ROUNDS", rounds) {
		d := good[m.IntN(len(good))]
		var doc yaml.Node
		if yaml.Unmarshal(d.raw, &doc) != nil || len(doc.Content) == 0 {
			continue
		}
		for range 1 + m.IntN(2) {
			m.mutate(&doc)
		}
		raw, err := yaml.Marshal(&doc)
		if err != nil || duplicate.Match(raw) {
			continue
		}
		compared++
		if k.compare(t, d.name, raw) {
			refused++
		}
		if t.Failed() && setting(t, "STRETCHER_SCHEMA_ALL", 0) == 0 {
			return
		}
	}
	t.Logf("%d documents, %d refused by both", compared, refused)
	if compared < rounds/2 || refused < rounds/10 {
		t.Errorf("%d documents compared, %d refused", compared, refused)
	}
}

// duplicate finds what Marshal makes of a node that was added and has a tag.
var duplicate = regexp.MustCompile(`: !!`)

// TestManifestsAlike: schema and program say the same of manifests made at random.
func TestManifestsAlike(t *testing.T) {
	k := manifests(t)
	var good []document
	for _, d := range append(archived(t), blocks(t, "docs/manifest.md", "yaml manifest")...) {
		if manifest.Resembles(d.raw) && !isPolicy(d.raw) && !k.filled(d.raw) && k.check(d.raw) == nil {
			good = append(good, d)
		}
	}
	k.like(t, good)
}

// TestPoliciesAlike is TestManifestsAlike for files of host policies.
func TestPoliciesAlike(t *testing.T) {
	k := policies(t)
	var good []document
	for _, d := range append(archived(t), blocks(t, "docs/policy.md", "yaml")...) {
		if isPolicy(d.raw) && k.check(d.raw) == nil {
			good = append(good, d)
		}
	}
	k.like(t, good)
}
