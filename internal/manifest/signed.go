package manifest

import (
	"slices"

	"stretcher/internal/text/failure"
	"stretcher/internal/text/yamldoc"
)

// checkSigned refuses a manifest that keys vouch for if it leaves open what they
// vouch for: which of several manifests counts, until when, and what the
// digests and plugins are that it names.
func (m *Manifest) checkSigned(doc *yamldoc.Document) error {
	problems := m.open()
	if len(problems) == 0 {
		return nil
	}
	lines := doc.Lines()
	for _, p := range problems {
		p.Line = lineOf(lines, p.Key)
	}
	text, hint := inLine(problems)
	return failure.Hinted(hint, failure.Refused("%s", text))
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
	if weak(m.Checksum.Algorithm) {
		problems = append(problems, &yamldoc.Problem{Key: "checksum", Value: m.Checksum.Algorithm,
			Message: "is no algorithm for a signed manifest: sha256 and sha512 are"})
	}
	return append(problems, m.Hooks.CheckPinned("hooks")...)
}
