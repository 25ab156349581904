package manifest

import (
	"context"
	"fmt"
	"strings"

	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
	"stretcher/internal/text/yamldoc"
)

// Loader is the one way to a manifest. All its fields but Warn must be set.
type Loader struct {
	Policy *policy.Policy
	// Fetch gets the bytes at url, at most limit of them. It asks allow before
	// each request, about the URL that a server redirects to as well.
	Fetch  func(ctx context.Context, url string, limit int64, allow func(url string) error) ([]byte, error)
	Lookup Lookup                   // of the variables that templates and env name
	Secret func(name, value string) // told of each value that came from the environment, or from env
	Warn   func(text string)        // told of keys that nobody reads; nil: such a key is an error
	Rules  Rules
}

// Loaded is a manifest and what it was made of.
type Loaded struct {
	*Manifest
	Raw  []byte // as it was fetched
	Text []byte // with the values of templates filled in
	URL  string // redacted
}

// Load fetches, fills in, parses and checks the manifest at url, if the host
// policy lets it.
func (l *Loader) Load(ctx context.Context, url string) (*Loaded, error) {
	if err := l.Policy.Manifest(url); err != nil {
		return nil, err
	}
	raw, err := l.Fetch(ctx, url, l.limit(), l.allow(url))
	if err != nil {
		return nil, err
	}
	return l.read(ctx, raw, url)
}

// Parse is Load for bytes that have been fetched from url before.
func (l *Loader) Parse(ctx context.Context, raw []byte, url string) (*Loaded, error) {
	if err := l.Policy.Manifest(url); err != nil {
		return nil, err
	}
	return l.read(ctx, raw, url)
}

// limit is the largest manifest that is accepted.
func (l *Loader) limit() int64 {
	if limit := int64(l.Policy.Limits.Manifest); limit > 0 {
		return min(limit, MaxSize)
	}
	return MaxSize
}

// allow returns what is asked before each request for the manifest at first.
// What comes by https does not come by http in the end, because a manifest
// runs commands and no checksum protects it.
func (l *Loader) allow(first string) func(string) error {
	return func(next string) error {
		if strings.HasPrefix(first, "https:") && !strings.HasPrefix(next, "https:") {
			return failure.Refused("%q is not https, as %q is", redact.URL(next), redact.URL(first))
		}
		err := l.Policy.Manifest(next)
		if err != nil && next != first {
			return failure.Hinted("the host policy must allow where a server redirects to as well: allow.manifests", err)
		}
		return err
	}
}

// read makes a manifest of bytes.
func (l *Loader) read(ctx context.Context, raw []byte, url string) (*Loaded, error) {
	url = redact.URL(url)
	text, err := expandTemplates(ctx, raw, l.Lookup, l.Secret)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", url, err)
	}
	m, warnings, problems := parse(text, l.Rules)
	if m != nil {
		l.keepSecret(m)
	}
	problems = append(l.warn(url, warnings), problems...)
	if len(problems) > 0 {
		return nil, fmt.Errorf("%q: %w", url, asError(text, problems))
	}
	return &Loaded{Manifest: m, Raw: raw, Text: text, URL: url}, nil
}

// warn tells of warnings, or makes problems of them.
func (l *Loader) warn(url string, warnings []*yamldoc.Problem) (problems []*yamldoc.Problem) {
	for _, w := range warnings {
		text := w.Message
		if w.Hint != "" {
			text += ", " + w.Hint
		}
		p := &yamldoc.Problem{Line: w.Line, Key: w.Key, Value: w.Value, Message: text}
		if l.Warn == nil {
			problems = append(problems, p)
		} else {
			l.Warn(fmt.Sprintf("manifest %q: %s", url, p))
		}
	}
	return problems
}

// keepSecret tells of the values of env.
func (l *Loader) keepSecret(m *Manifest) {
	for name, value := range m.Env {
		if value != nil {
			l.Secret(name, *value)
		} else if v, ok := l.Lookup(name); ok {
			l.Secret(name, v)
		}
	}
}

// asError says all problems in one line, and what they may come from.
func asError(data []byte, problems []*yamldoc.Problem) error {
	text := make([]string, len(problems))
	hint := ""
	for i, p := range problems {
		text[i] = p.Error()
		if hint == "" {
			hint = p.Hint
		}
	}
	if strings.HasPrefix(strings.TrimSpace(string(data)), "<") {
		hint = "this looks like an HTML page: does the URL lead to the manifest itself?"
	}
	return failure.Hinted(hint, failure.Malformed("%s", strings.Join(text, "; ")))
}
