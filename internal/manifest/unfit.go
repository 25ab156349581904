package manifest

import (
	"path/filepath"
	"strings"
	"time"

	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/yamldoc"
	"stretcher/internal/trust"
)

// Resembles tells whether bytes are meant as a manifest: a YAML mapping with a
// key of one.
func Resembles(raw []byte) bool {
	doc, problem := yamldoc.Parse(findTemplates(raw).text)
	if problem != nil {
		return false
	}
	lines := doc.Lines()
	for _, key := range []string{"src", "dest", "commands", "serial", "sync_strategy"} {
		if lines(key) > 0 {
			return true
		}
	}
	return false
}

// UnfitFile is Unfit for what is in a file, which may be something else if it is
// not called a manifest.
func UnfitFile(raw []byte, file string, rules Rules, now time.Time) error {
	ext := strings.ToLower(filepath.Ext(file))
	if ext != ".yml" && ext != ".yaml" && !Resembles(raw) {
		return nil
	}
	return Unfit(raw, rules, now)
}

// Unfit is why no host that asks for signatures would take a manifest, whoever
// signs it; nil where nothing speaks against it. Values of templates are the
// host's: where there are any, only what must be written out is judged.
func Unfit(raw []byte, rules Rules, now time.Time) error {
	m := &Loaded{Raw: raw}
	if len(findTemplates(raw).list) > 0 {
		var err error
		if m.Manifest, err = sketch(raw); err != nil {
			return err
		}
	} else {
		none := func(string) {}
		l := &Loader{
			Policy: &policy.Policy{}, Keys: &trust.Keys{}, Rules: rules, Warn: none,
			Lookup: func(string) (string, bool) { return "", false }, Secret: func(string, string) {},
		}
		if err := l.read(m, base{}); err != nil {
			return err
		}
	}
	return m.CheckExpiry(now)
}

// sketch is a manifest with templates, as far as a signed one must be written
// out.
func sketch(raw []byte) (*Manifest, error) {
	t := findTemplates(raw)
	doc, problem := yamldoc.Parse(t.text)
	if problem != nil {
		return nil, failure.Malformed("%w", problem)
	}
	var text struct {
		Name     string `yaml:"name"`
		Serial   string `yaml:"serial"`
		Expires  string `yaml:"expires"`
		Checksum string `yaml:"checksum"`
	}
	doc.Decode(&text)
	m := &Manifest{}
	m.Name = text.Name
	if err := m.Serial.UnmarshalText([]byte(text.Serial)); err != nil && text.Serial != "" {
		if !strings.Contains(text.Serial, t.prefix) {
			return nil, failure.Malformed("serial: %q %w", text.Serial, err)
		}
		m.Serial = 1 // a template, which checkSigned names
	}
	if err := m.Expires.UnmarshalText([]byte(text.Expires)); err != nil && text.Expires != "" {
		if !strings.Contains(text.Expires, t.prefix) {
			return nil, failure.Malformed("expires: %q %w", text.Expires, err)
		}
		m.Expires.Time = time.Unix(1<<40, 0) // a template, which checkSigned names
	}
	_ = m.Checksum.UnmarshalText([]byte(text.Checksum)) // a template is none, and named by checkSigned
	return m, m.checkSigned(raw, doc)
}
