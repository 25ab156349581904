package manifest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	neturl "net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
	"stretcher/internal/text/yamldoc"
	"stretcher/internal/trust"
)

// Fetch gets the bytes at url, at most limit of them. It asks allow before each
// request, about the URL that a server redirects to as well.
type Fetch func(ctx context.Context, url string, limit int64, allow func(url string) error) ([]byte, error)

// Loader is the one way to a manifest. All its fields but Warn, Idle, Mask, Unset
// and those for signatures must be set.
type Loader struct {
	Policy    *policy.Policy
	Fetch     Fetch
	Keys      *trust.Keys              // that must vouch for a manifest; nil = nobody needs to
	Threshold int                      // how many of Keys must
	Signature Fetch                    // gets signature documents; must be set with Keys
	Lookup    Lookup                   // of the variables that templates and env name
	Secret    func(name, value string) // told of each value that came from the environment, or from env
	Warn      func(text string)        // told of keys that nobody reads; nil: such a key is an error
	Idle      func(text string)        // told of what changes nothing; nil: Warn is
	Mask      func(string) string      // keeps what Secret was told out of a text; nil = nothing does
	Unset     bool                     // variables that are not set are no problem: something stands in for them
	Rules     Rules

	place func([]*yamldoc.Problem) // says where problems stand in what a manifest was made of; nil: in itself
}

// Loaded is a manifest and what it was made of.
type Loaded struct {
	*Manifest
	Raw       []byte         // as it was fetched
	Signature []byte         // the signature document that came with it; nil = none was asked for
	Signers   []trust.Signer // who vouches for Raw
	Text      []byte         // with the values of templates filled in
	Unset     []string       // variables of templates that are not set; none, unless the loader lets that be
	URL       string         // redacted
	Base      string         // what src is relative to: the manifest's URL, without secrets; "" = there is nothing
	// Repository is the directory that holds a manifest which is in a file of
	// this host: what its hooks name before the archive is there is in it.
	// "" = there is none, as where it comes by a pipe.
	Repository string
}

// Load fetches, fills in, parses and checks the manifest at url, if the host
// policy lets it, and, where keys must vouch for it, they do.
func (l *Loader) Load(ctx context.Context, url string) (*Loaded, error) {
	raw, signature, err := l.fetch(ctx, url)
	if err != nil {
		return nil, err
	}
	return l.accept(raw, signature, url, baseOf(url))
}

// Signers tells who vouches for the manifest at url, as Load would ask it.
// Nothing is read of the manifest.
func (l *Loader) Signers(ctx context.Context, url string) ([]trust.Signer, error) {
	raw, signature, err := l.fetch(ctx, url)
	if err != nil {
		return nil, err
	}
	m := &Loaded{Raw: raw, Signature: signature, URL: redact.URL(url)}
	err = l.Vouch(m)
	return m.Signers, err
}

// fetch fetches a manifest, and the signature document of it where there must be
// one.
func (l *Loader) fetch(ctx context.Context, url string) (raw, signature []byte, err error) {
	if err := l.Policy.Manifest(url); err != nil {
		return nil, nil, err
	}
	if u, err := neturl.Parse(url); err == nil && u.Scheme == "oci" {
		return nil, nil, failure.Malformed("%q: registries hold archives, and no manifests", redact.URL(url))
	}
	at := ""
	if l.Keys != nil {
		if at, err = trust.SignatureURL(url); err != nil {
			return nil, nil, err
		}
	}
	if raw, err = l.Fetch(ctx, url, l.limit(), l.allow(url, url)); err == nil && l.Keys != nil {
		signature, err = l.Signature(ctx, at, trust.MaxSignatures, l.allow(at, url))
	}
	if err != nil && !errors.Is(err, failure.ErrMalformed) { // a URL that can't be one is nobody else's fault
		err = &Unfetched{err}
	}
	return raw, signature, err
}

// Unfetched is the error of a manifest, or of the signatures of one, that a server
// has not brought.
type Unfetched struct{ error }

// Unwrap gives the cause.
func (u *Unfetched) Unwrap() error { return u.error }

// Parse is Load for bytes that have been fetched from url before, with the
// signature document that came with them. kept is the Base that they had; without
// one, it is url's.
func (l *Loader) Parse(raw, signature []byte, url, kept string) (*Loaded, error) {
	if err := l.Policy.Manifest(url); err != nil {
		return nil, err
	}
	if limit := l.limit(); int64(len(raw)) > limit {
		return nil, failure.Refused("%q: larger than %d bytes", redact.URL(url), limit)
	}
	return l.accept(raw, signature, url, baseOf(cmp.Or(kept, url)).bare())
}

// accept makes a manifest of bytes: the one way by which bytes become one. Who
// must vouch for them is asked before anything else looks at them.
func (l *Loader) accept(raw, signature []byte, url string, at base) (*Loaded, error) {
	loaded, err := l.admit(raw, signature, url, at)
	if err != nil {
		return nil, err
	}
	if err := l.read(loaded, at); err != nil {
		return nil, said(loaded, err)
	}
	return loaded, nil
}

// said is an error of a manifest with its URL.
func said(of *Loaded, err error) error { return fmt.Errorf("%q: %w", of.URL, err) }

// admit asks who must vouch for bytes.
func (l *Loader) admit(raw, signature []byte, url string, at base) (*Loaded, error) {
	loaded := &Loaded{Raw: raw, URL: redact.URL(url), Base: at.bare().String()}
	if _, _, must := l.Policy.Signed(); must && l.Keys == nil { // a mistake of the caller's must not let it in
		return nil, failure.Refused("%q: there are no keys to ask", loaded.URL)
	}
	if l.Keys != nil {
		loaded.Signature = signature
		if err := l.Vouch(loaded); err != nil {
			return nil, err
		}
	} else {
		loaded.Repository = repository(url)
	}
	return loaded, nil
}

// Vouch asks who vouches for a manifest. It may be asked again, by the keys that
// count then.
func (l *Loader) Vouch(m *Loaded) error {
	signers, err := l.Keys.Verify(m.Raw, m.Signature, l.Threshold)
	if err != nil {
		return &Unvouched{fmt.Errorf("%q: %w", m.URL, err)}
	}
	m.Signers = signers
	return nil
}

// Unvouched is the error of bytes that too few trusted keys vouch for.
type Unvouched struct{ error }

// Unwrap gives the cause.
func (u *Unvouched) Unwrap() error { return u.error }

// limit is the largest manifest that is accepted.
func (l *Loader) limit() int64 {
	if limit := int64(l.Policy.Limits.Manifest); limit > 0 {
		return min(limit, MaxSize)
	}
	return MaxSize
}

// allow returns what is asked before each request for what is at first: the
// manifest, or the signature of it. A signature may be where the manifest may be.
// What comes by https does not come by http in the end, because a manifest
// runs commands and no checksum protects it.
func (l *Loader) allow(first, manifest string) func(string) error {
	return func(next string) error {
		if policy.IsDowngrade(first, next) {
			return failure.Refused("%q is not https, as %q is", redact.URL(next), redact.URL(first))
		}
		of := next
		if first != manifest {
			of = trust.ManifestURL(next)
		}
		err := l.Policy.Manifest(of)
		if err != nil && next != first && failure.Hint(err) == "" {
			return failure.Hinted("the host policy must allow where a server redirects to as well: allow.manifests", err)
		}
		return err
	}
}

// read fills in, parses and checks the bytes of a manifest. What it names by a path
// is at its base.
func (l *Loader) read(loaded *Loaded, at base) error {
	r, err := l.settle(loaded, at)
	if err != nil {
		return err
	}
	if r.manifest != nil {
		l.keepSecret(r.manifest)
	}
	problems := slices.Concat(r.open, l.warn(loaded.URL, r.warnings), r.problems)
	if len(problems) == 0 {
		if loaded.Text, err = r.text(); err != nil {
			problems = []*yamldoc.Problem{{Message: err.Error()}}
		}
	}
	if len(problems) > 0 {
		return l.asError(loaded.Raw, problems)
	}
	loaded.Manifest, loaded.Unset = r.manifest, r.gaps.names()
	if l.Keys != nil {
		if err := loaded.checkSigned(loaded.Raw, r.doc); err != nil {
			return err
		}
	}
	loaded.nameByDest()
	return nil
}

// reading is how far a manifest has been read.
type reading struct {
	raw       []byte
	templates *templates
	doc       *yamldoc.Document // nil: it is no YAML
	gaps      *gaps
	manifest  *Manifest // nil where there are problems
	warnings  []*yamldoc.Problem
	problems  []*yamldoc.Problem // with its keys
	open      []*yamldoc.Problem // with the text itself, and with templates
}

// settle reads a manifest as far as that can be done. Where a template has no
// value, the rest is read all the same: who mends a manifest wants to know all.
func (l *Loader) settle(loaded *Loaded, at base) (*reading, error) {
	rules := l.Rules
	rules.base = at
	var refused error
	r := &reading{raw: loaded.Raw, gaps: newGaps()}
	v := values{gaps: r.gaps, unset: l.Unset, look: func(name string) (string, bool) {
		if err := l.Policy.Variable(name); err != nil {
			refused = cmp.Or(refused, err)
			return "", false
		}
		return l.lookup(name)
	}}
	for again, tries := true, 0; again && tries <= len(standIns()); tries++ {
		r.fill(v)
		if refused != nil {
			return r, fmt.Errorf("template: %w", refused)
		}
		if r.doc == nil {
			return r, nil
		}
		r.manifest, r.warnings, r.problems = sift(r.doc, rules, loaded.Repository == "")
		again = r.gaps.next(r.problems)
	}
	r.close()
	return r, nil
}

// fill parses the document and puts the values of its templates into it.
func (r *reading) fill(v values) {
	r.templates, r.gaps.unset, r.open = findTemplates(r.raw), nil, nil
	doc, problem := yamldoc.Parse(r.templates.text)
	if problem != nil {
		problem.Message = r.templates.restored(problem.Message)
		r.doc, r.open = nil, append(r.templates.wrong(), problem)
		return
	}
	r.doc, r.open = doc, r.templates.fill(doc, v)
	for _, p := range r.open[:min(len(r.open), maxTold)] {
		p.Within = doc.KeyAt(p.Spot)
	}
}

// close leaves out the problems that come of those with templates, and says where
// the others are.
func (r *reading) close() {
	unknown := func(p *yamldoc.Problem) bool {
		return r.gaps.has(p.Spot) || strings.Contains(p.Key+p.Value+p.Message, r.templates.prefix)
	}
	r.warnings, r.problems = slices.DeleteFunc(r.warnings, unknown), slices.DeleteFunc(r.problems, unknown)
	for _, p := range slices.Concat(r.warnings, r.problems) {
		p.Column = r.templates.column(yamldoc.Place{Line: p.Line, Column: p.Column})
	}
	if r.manifest = r.manifest.settled(r.warnings, r.problems); r.manifest != nil {
		r.manifest.guesses = r.gaps.guesses(r.doc, r.manifest)
	}
}

// text is the manifest with the values of its templates.
func (r *reading) text() ([]byte, error) {
	if len(r.templates.list) == 0 {
		return r.raw, nil
	}
	if text, err := r.doc.Text(); err == nil {
		return text, nil
	}
	return nil, errors.New("template: the manifest can't be written with its values")
}

// lookup looks variables up and tells of the values that it finds.
func (l *Loader) lookup(name string) (string, bool) {
	v, ok := l.Lookup(name)
	if ok {
		l.Secret(name, v)
	}
	return v, ok
}

// maxTold bounds the warnings and the problems that are told of one manifest:
// it may have one in each line.
const maxTold = 50

// maxWrong bounds an error that lists problems, in bytes, unless the first alone is
// longer.
const maxWrong = 1500

// warn tells of warnings, or makes problems of them. Of those that are told
// there are maxTold at most; a problem is never left out for them.
func (l *Loader) warn(url string, warnings []*yamldoc.Problem) (problems []*yamldoc.Problem) {
	told, untold := 0, 0
	more := l.Warn // tells that there are others
	for _, p := range warnings {
		tell := l.Warn
		if p.Idle && l.Idle != nil {
			tell = l.Idle
		}
		p.Inline = true
		switch {
		case tell == nil:
			problems = append(problems, p)
		case told < maxTold:
			told++
			tell(fmt.Sprintf("manifest %q: %s", url, p))
		default:
			untold, more = untold+1, tell
		}
	}
	if untold > 0 {
		more(fmt.Sprintf("manifest %q: %d more warnings", url, untold))
	}
	return problems
}

// keepSecret tells of the values of env.
func (l *Loader) keepSecret(m *Manifest) {
	for name, value := range m.Env {
		if value != nil && l.Unset && strings.Contains(*value, standIn) {
			continue // it is no value
		}
		if value != nil {
			l.Secret(name, *value)
		} else if v, ok := l.Lookup(name); ok {
			l.Secret(name, v)
		}
	}
}

// Wrong is the error of a manifest that says something wrong, with all that is.
type Wrong struct {
	Problems []*yamldoc.Problem // as they are told
	text     string
}

// Error says all problems in one line, or the first of very many.
func (w *Wrong) Error() string { return w.text }

// wrongBy is the error that problems make, with the first hint. They stand as in
// the document, those of the whole last.
func wrongBy(problems []*yamldoc.Problem) (w *Wrong, hint string) {
	problems = slices.Clone(problems)
	slices.SortStableFunc(problems, func(a, b *yamldoc.Problem) int {
		return cmp.Or(cmp.Compare(uint(a.Line-1), uint(b.Line-1)), cmp.Compare(a.Column, b.Column)) // a line 0 is the last
	})
	var parts []string
	length := 0
	for i, p := range problems {
		text := p.Error()
		if length += len(text); i == maxTold || i > 0 && length > maxWrong {
			parts = append(parts, fmt.Sprintf("and %d more", len(problems)-i))
			break
		}
		parts = append(parts, text)
		if !p.Inline {
			hint = cmp.Or(hint, p.Hint)
		}
	}
	return &Wrong{problems, strings.Join(parts, "; ")}, hint
}

// asError says what is wrong with a manifest, without secrets: an error shows the
// beginning of a value, which nobody finds in it any more.
func (l *Loader) asError(data []byte, problems []*yamldoc.Problem) error {
	if l.place != nil {
		l.place(problems)
	}
	if l.Mask != nil {
		for _, p := range problems {
			p.Value = l.Mask(p.Value)
		}
	}
	return asError(data, problems)
}

// asError says all problems in one line, and what they may come from.
func asError(data []byte, problems []*yamldoc.Problem) error {
	for _, p := range problems {
		p.Value = hidden(p)
	}
	wrong, hint := wrongBy(problems)
	switch first := problems[0]; {
	case regexp.MustCompile(`^\s*<[^<]`).Match(data): // and no << of YAML
		hint = "this looks like an HTML page: does the URL lead to the manifest itself?"
		first.Hint = hint
	case hint == "" && bytes.Contains(data, []byte("{{")) &&
		(strings.Contains(first.Error(), "mapping") || strings.Contains(first.Error(), "not YAML")):
		hint = "only env and must_env are templates; a value that begins with {{ must be quoted"
		first.Hint = hint
	}
	return failure.Hinted(hint, failure.Malformed("%w", wrong))
}

// hidden is the value that a problem may tell.
func hidden(p *yamldoc.Problem) string {
	if p.Key == "env" || strings.HasSuffix(p.Key, ".environment") {
		return namesOnly(p.Value)
	}
	return p.Value
}

// namesOnly is what may be told of a text that stands where env is, or in the place
// of a name there: NAME=VALUE and NAME:VALUE, which env is not, have a secret in them.
func namesOnly(text string) string {
	for i, r := range text {
		if isName := unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_-.", r); !isName {
			return text[:i+utf8.RuneLen(r)] + "…"
		}
	}
	return text
}

// repository is the directory that holds the manifest at url, "" unless it is
// in a file. One that keys must vouch for has none: nobody vouches for what lies
// beside it.
func repository(url string) string {
	u, err := neturl.Parse(url)
	if err != nil || u.Scheme != "file" || isPipe(u) {
		return ""
	}
	return filepath.Dir(u.Path)
}
