package store

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"stretcher/internal/text/redact"
)

// Definition is what a Set must know of a store.
type Definition struct {
	Schemes []string             // of the URLs that it serves
	Check   func(*url.URL) error // the shape of a URL; no network, no disk
	New     func(Options) Store  // makes no client yet
	Small   bool                 // it keeps manifests, and nothing as large as an archive
}

// Schemes are the stores that there are.
type Schemes []Definition

// Check tells whether rawURL has a known scheme and the parts it needs, without
// asking any server. Its errors are those of Open.
func (s Schemes) Check(rawURL string) error {
	_, _, err := s.parse(rawURL)
	return err
}

// CheckArchive is Check for a URL that an archive is to be fetched from.
func (s Schemes) CheckArchive(rawURL string) error {
	_, def, err := s.parse(rawURL)
	switch {
	case def.New == nil: // said again, with the schemes that would do
		return s.large().Check(rawURL)
	case err == nil && def.Small:
		return badURL(rawURL, ErrSmall, "")
	}
	return err
}

// large are those that keep archives.
func (s Schemes) large() Schemes {
	return slices.DeleteFunc(slices.Clone(s), func(def Definition) bool { return def.Small })
}

// Names lists the known schemes in order.
func (s Schemes) Names() []string {
	var names []string
	for _, d := range s {
		names = append(names, d.Schemes...)
	}
	slices.Sort(names)
	return names
}

func (s Schemes) find(name string) (Definition, bool) {
	i := slices.IndexFunc(s, func(d Definition) bool { return slices.Contains(d.Schemes, name) })
	if i < 0 {
		return Definition{}, false
	}
	return s[i], true
}

// parse finds the store of a URL. Where the scheme is known and the rest is wrong,
// the error comes with it.
func (s Schemes) parse(rawURL string) (*url.URL, Definition, error) {
	u, err := url.Parse(rawURL)
	if inner := strings.Trim(rawURL, " \t\r\n\"'`<>"); (err != nil || u.Scheme == "") && inner != rawURL && inner != "" {
		return nil, Definition{}, badURL(inner, errors.New("spaces, quotes or brackets stand around it"), "take them away")
	}
	if err != nil {
		return nil, Definition{}, badURL(rawURL, errors.New("malformed URL"), "")
	}
	if u.Scheme == "" {
		return nil, Definition{}, badURL(rawURL, Mark(ErrScheme, errors.New("no URL scheme")), s.hint(rawURL))
	}
	def, ok := s.find(u.Scheme)
	if !ok {
		err := fmt.Errorf("%w %q", ErrScheme, u.Scheme)
		return nil, Definition{}, badURL(rawURL, err, "known schemes: "+strings.Join(s.Names(), ", "))
	}
	if err := def.Check(u); err != nil {
		return u, def, badURL(rawURL, err, "")
	}
	return u, def, nil
}

func (s Schemes) hint(rawURL string) string {
	if strings.HasPrefix(rawURL, "/") {
		return "for a local file write file://" + redact.URL(rawURL)
	}
	return "for a local file write file:///absolute/path; known schemes: " + strings.Join(s.Names(), ", ")
}

func badURL(rawURL string, err error, hint string) error {
	return &Error{Op: "URL", URL: redact.URL(rawURL), Err: err, Hint: hint}
}
