package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
	"stretcher/internal/text/yamldoc"
	"stretcher/internal/trust"
)

// Draft is a manifest that is yet to be told what it deploys.
type Draft struct {
	Idle func(text string) // told of what changes nothing; nil: it is an error

	file      string // that it is from, for messages; "" = that is not known
	templates *templates
	keys      map[string]yamldoc.Raw
	rules     Rules
}

// ParseDraft reads a draft, from a file that errors name unless it is "". It may be
// empty.
func ParseDraft(raw []byte, file string, rules Rules) (*Draft, error) {
	d := &Draft{file: file, rules: rules}
	if err := d.parse(raw); err != nil {
		return nil, d.named(err)
	}
	return d, nil
}

// named says which file an error is about.
func (d *Draft) named(err error) error {
	if err == nil || d.file == "" {
		return err
	}
	return fmt.Errorf("%q: %w", d.file, err)
}

func (d *Draft) parse(raw []byte) error {
	if len(raw) > MaxSize {
		return failure.Malformed("larger than %d bytes", MaxSize)
	}
	t := findTemplates(raw)
	doc, problem := yamldoc.Parse(t.text)
	if problem != nil {
		problem.Message = t.restored(problem.Message)
		return asError(raw, append(t.wrong(), problem))
	}
	d.templates = t
	doc.Decode(&d.keys) // what is wrong with it, With tells
	return nil
}

// Has tells whether it says anything of a key.
func (d *Draft) Has(key string) bool {
	raw, ok := d.keys[key]
	return ok && raw.Node != nil
}

// Value is a key's text; "" where there is none, or a template, whose value is
// the host's.
func (d *Draft) Value(key string) string {
	text, _ := d.keys[key].Scalar()
	if strings.Contains(text, d.templates.prefix) {
		return ""
	}
	return text
}

// With is the manifest to be published at url: the draft with these keys, its
// comments kept. One that every host would refuse is an error. Where keys are to
// vouch for it, it must have what a signed one has.
func (d *Draft) With(entries []yamldoc.Entry, url string, signed bool) ([]byte, error) {
	text, err := yamldoc.Set(d.templates.text, entries)
	if problem := (*yamldoc.Problem)(nil); errors.As(err, &problem) {
		return nil, d.named(asError(d.templates.text, []*yamldoc.Problem{problem}))
	} else if err != nil {
		return nil, d.named(failure.Malformed("%w", err))
	}
	raw := []byte(d.templates.restored(string(text)))
	if len(raw) > MaxSize {
		return nil, failure.Malformed("larger than %d bytes", MaxSize)
	}
	m := &Loaded{Raw: raw, URL: redact.URL(url)}
	if !signed {
		m.Repository = repository(url)
	}
	return raw, d.named(d.check(m, baseOf(url), signed))
}

// place makes problems of what is published say the lines that they have in the draft.
// One that the draft does not have says none: nobody has seen that line.
func (d *Draft) place(wrong []*yamldoc.Problem) {
	type mark struct{ key, value, message string }
	own := map[mark]*yamldoc.Problem{}
	if doc, problem := yamldoc.Parse(d.templates.text); problem == nil {
		_, warnings, problems := parse(doc, d.rules, false)
		for _, p := range slices.Concat(warnings, problems) {
			own[mark{d.templates.restored(p.Key), hidden(p), p.Message}] = p
		}
	}
	for _, p := range wrong {
		at := cmp.Or(own[mark{p.Key, hidden(p), p.Message}], &yamldoc.Problem{})
		p.Line, p.Column, p.Spot = at.Line, at.Column, at.Spot
	}
}

// check is what stretcher check asks, as far as that can be told without a host.
func (d *Draft) check(m *Loaded, at base, signed bool) (err error) {
	l := d.loader(signed)
	l.Rules.base = at
	if len(findTemplates(m.Raw).list) == 0 {
		if err = l.read(m, at); err == nil {
			err = m.CheckExpiry(time.Now())
		}
		return err
	}
	if err = d.checkOpen(m, l); err != nil {
		return err
	}
	known, err := sketch(m.Raw)
	if err != nil && signed {
		return err
	}
	if known == nil {
		return nil
	}
	return known.CheckExpiry(time.Now())
}

// loader is that of no host: what its policy would say is not known.
func (d *Draft) loader(signed bool) *Loader {
	l := &Loader{Policy: &policy.Policy{}, Rules: d.rules, Idle: d.Idle, place: d.place}
	l.Secret = func(string, string) {}
	l.Lookup = func(string) (string, bool) { return "", false }
	if signed {
		l.Keys = &trust.Keys{}
	}
	return l
}

// checkOpen checks a manifest with templates, whose values are the host's: what
// is wrong with a value that has one is not told.
func (d *Draft) checkOpen(m *Loaded, l *Loader) error {
	t := findTemplates(m.Raw)
	doc, problem := yamldoc.Parse(t.text)
	if problem != nil {
		return l.asError(m.Raw, append(t.wrong(), problem))
	}
	_, warnings, problems := parse(doc, l.Rules, m.Repository == "")
	problems = slices.DeleteFunc(problems, func(p *yamldoc.Problem) bool {
		return strings.Contains(p.Value+p.Message, t.prefix)
	})
	for _, p := range slices.Concat(warnings, problems) {
		p.Key = t.restored(p.Key)
	}
	problems = append(append(t.wrong(), l.warn(m.URL, warnings)...), problems...)
	if len(problems) > 0 {
		return l.asError(m.Raw, problems)
	}
	return nil
}

// IsManifest tells whether a text is one: it says what is deployed, or what runs.
func (d *Draft) IsManifest(raw []byte) bool {
	m, err := ParseDraft(raw, "", d.rules)
	return err == nil && slices.ContainsFunc([]string{"src", "commands", "hooks", "rollback"}, m.Has)
}

// Renews tells whether one manifest says what another says, with a serial that is
// no lower, and another end.
func (d *Draft) Renews(old, now []byte) bool {
	before, err := ParseDraft(old, "", d.rules)
	if err != nil {
		return false
	}
	after, err := ParseDraft(now, "", d.rules)
	if err != nil {
		return false
	}
	var was, is Serial
	if was.UnmarshalText([]byte(before.Value("serial"))) == nil &&
		(is.UnmarshalText([]byte(after.Value("serial"))) != nil || is < was) {
		return false
	}
	for _, key := range []string{"serial", "expires"} {
		delete(before.keys, key)
		delete(after.keys, key)
	}
	return maps.EqualFunc(before.keys, after.keys, func(a, b yamldoc.Raw) bool {
		// Marks of templates are words made of the whole text.
		return before.templates.restored(a.Text()) == after.templates.restored(b.Text())
	})
}
