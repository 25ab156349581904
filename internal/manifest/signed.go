package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
	"stretcher/internal/text/yamldoc"
)

// checkSigned refuses a manifest that keys vouch for if it leaves open what they
// vouch for: which of several manifests counts, until when, and what the
// digests and plugins are that it names.
func (m *Manifest) checkSigned(raw []byte, doc *yamldoc.Document) error {
	problems := append(m.open(), borrowed(raw)...)
	locate(doc, problems)
	t := findTemplates(raw)
	for _, p := range problems {
		p.Column = t.column(yamldoc.Place{Line: p.Line, Column: p.Column})
	}
	if line := doc.Second(); line > 0 {
		problems = append(problems, &yamldoc.Problem{
			Line: line, Column: 1,
			Message: "a second document begins here: a signed manifest is one, so that nobody reads the other",
		})
	}
	if len(problems) == 0 {
		return nil
	}
	wrong, hint := wrongBy(problems)
	return failure.Hinted(hint, failure.Refused("%w", wrong))
}

// weak are the algorithms of checksums by which somebody may make another
// archive with the same digest.
func weak(algorithm string) bool { return slices.Contains([]string{"md5", "sha1"}, algorithm) }

// open is what a manifest leaves open.
func (m *Manifest) open() (problems []*yamldoc.Problem) {
	required := func(key string, is bool, why string) {
		if !is {
			problems = append(problems, &yamldoc.Problem{Key: key, Message: "is required of a signed manifest: " + why})
		}
	}
	required("name", m.Name != "", "a serial counts among those of a name")
	required("serial", m.Serial > 0, "without it an older manifest would be as good as a newer one")
	required("expires", !m.Expires.IsZero(), "without it an old manifest would be good for ever")
	required("rollback.from", m.Rollback.To != Previous || m.Rollback.From != "",
		"whoever hands the manifest over again would send hosts further back")
	if weak(m.Checksum.Algorithm) {
		problems = append(problems, &yamldoc.Problem{Key: "checksum", Value: m.Checksum.Algorithm,
			Message: "is no algorithm for a signed manifest: sha256 and sha512 are"})
	}
	problems = append(problems, m.movable()...)
	return append(problems, m.Hooks.CheckPinned("hooks")...)
}

// movable are the sources that name an archive by a tag of a registry, which
// others can move.
func (m *Manifest) movable() (problems []*yamldoc.Problem) {
	for _, src := range m.Src {
		if strings.HasPrefix(strings.ToLower(src), "oci:") && !strings.Contains(src, "@") {
			problems = append(problems, &yamldoc.Problem{Key: "src", Value: redact.URL(src),
				Message: "is a tag in a signed manifest", Hint: "write the digest: oci://REGISTRY/REPOSITORY@sha256:..."})
		}
	}
	return problems
}

// borrowed are keys whose values a signed manifest takes from the environment:
// whoever sets that would say which manifest is the newer one, and which archive
// it names.
func borrowed(raw []byte) (problems []*yamldoc.Problem) {
	t := findTemplates(raw)
	if len(t.list) == 0 {
		return nil
	}
	doc, problem := yamldoc.Parse(t.text)
	if problem != nil {
		return nil
	}
	var unfilled struct {
		Name     string `yaml:"name"`
		Serial   string `yaml:"serial"`
		Expires  string `yaml:"expires"`
		Checksum string `yaml:"checksum"`
		Index    string `yaml:"index"`
		Hooks    map[string][]struct {
			Ref string `yaml:"ref"`
		} `yaml:"hooks"`
		Rollout  yamldoc.Raw `yaml:"rollout"`
		Rollback struct {
			To   string `yaml:"to"`
			From string `yaml:"from"`
		} `yaml:"rollback"`
	}
	doc.Decode(&unfilled)
	values := [][2]string{
		{"name", unfilled.Name}, {"serial", unfilled.Serial}, {"expires", unfilled.Expires}, {"checksum", unfilled.Checksum},
		{"index", unfilled.Index}, {"rollback.to", unfilled.Rollback.To}, {"rollback.from", unfilled.Rollback.From},
	}
	if strings.Contains(unfilled.Rollout.Text(), t.prefix) {
		problems = append(problems, &yamldoc.Problem{Key: "rollout",
			Message: "must be written out in a signed manifest: all hosts of a group go by the same"})
	}
	for _, name := range slices.Sorted(maps.Keys(unfilled.Hooks)) {
		for i, e := range unfilled.Hooks[name] {
			values = append(values, [2]string{fmt.Sprintf("hooks.%s[%d].ref", name, i), e.Ref})
		}
	}
	for _, v := range values {
		if strings.Contains(v[1], t.prefix) {
			problems = append(problems, &yamldoc.Problem{Key: v[0], Value: t.restored(v[1]),
				Message: "must be written out in a signed manifest: nobody vouches for what a template finds"})
		}
	}
	return problems
}
