package manifest

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
	"stretcher/internal/text/yamldoc"
)

// base is what a src without a scheme is relative to (RFC 3986, section 5.1).
type base struct {
	at   *url.URL // of the manifest; nil = it has none
	none string   // why it has none; "" = it will get one, where it is published
}

// baseOf is the base of a manifest that was asked for at rawURL. Where redirects
// lead is not it: a host must be able to tell without asking a server.
func baseOf(rawURL string) base {
	u, err := url.Parse(rawURL)
	switch {
	case rawURL == "":
		return base{}
	case err != nil || u.Scheme == "" || u.Opaque != "":
		return base{none: "the URL of the manifest has no path"}
	case isPipe(u):
		return base{none: "the manifest comes by a pipe, and nothing lies beside it"}
	}
	return base{at: u}
}

// bare is the base as it may be kept: without user, query and fragment, which may
// be secrets.
func (b base) bare() base {
	if b.at == nil {
		return b
	}
	u := *b.at
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return base{at: &u}
}

// String is the URL; "" = there is none.
func (b base) String() string {
	if b.at == nil {
		return ""
	}
	return b.at.String()
}

// isPipe tells whether a file is one of a process, by which whatever writes to it
// is read.
func isPipe(u *url.URL) bool {
	if u.Scheme != "file" {
		return false
	}
	dir := filepath.Dir(u.Path)
	ofProcess, _ := filepath.Match("/proc/*/fd", dir)
	return ofProcess || dir == "/dev" || dir == "/dev/fd"
}

// relative tells whether src is a path, and what it says if it is.
func relative(src string) (ref *url.URL, ok bool) {
	if strings.Trim(src, " \t\r\n\"'`<>") != src { // which nobody means
		return nil, false
	}
	ref, err := url.Parse(src)
	return ref, err == nil && ref.Scheme == ""
}

// resolve is the URL that src names. One that has a scheme stays as it is. A path
// stays on the host, or in the bucket, that the manifest is on.
func (b base) resolve(src string) (string, error) {
	ref, ok := relative(src)
	if !ok {
		return src, nil
	}
	if err := checkRelative(src, ref); err != nil {
		return "", err
	}
	switch {
	case b.none != "":
		return "", failure.Hinted("write the whole URL", errors.New("is relative: "+b.none))
	case b.at == nil:
		return src, nil
	}
	to := b.at.ResolveReference(ref)
	again, err := url.Parse(to.String())
	if err != nil || again.Scheme != b.at.Scheme || again.Host != b.at.Host || again.User.String() != b.at.User.String() {
		return "", errors.New("leads away from the manifest's host")
	}
	return to.String(), nil
}

// checkRelative refuses what is no path, or one that not everybody reads alike.
func checkRelative(src string, ref *url.URL) error {
	whole := func(text string) error { return failure.Hinted("write the whole URL", errors.New(text)) }
	encoded := strings.ToLower(ref.EscapedPath())
	switch {
	case strings.HasPrefix(src, "//"), ref.Host != "", ref.User != nil:
		return whole("names a host: a relative path does not")
	case ref.Path == "":
		return errors.New("names the manifest itself")
	case strings.Contains(src, `\`):
		return whole(`has a \ in it, which some take for a /`)
	case slices.ContainsFunc(strings.Split(encoded, "/"), hidesDots):
		return whole("has dots written as %2e: write them as they are")
	}
	return nil
}

// hidesDots tells whether an element of a path is . or .., but not written so.
func hidesDots(element string) bool {
	plain := strings.ReplaceAll(element, "%2e", ".")
	return plain != element && (plain == "." || plain == "..")
}

// checkSrc makes URLs of the sources that are paths, and tells what is wrong with
// each.
func (m *Manifest) checkSrc(rules Rules) (problems []*yamldoc.Problem) {
	for i, src := range m.Src {
		key := "src"
		if len(m.Src) > 1 {
			key = fmt.Sprintf("src[%d]", i)
		}
		to, err := rules.base.resolve(src)
		if err != nil {
			problems = append(problems, &yamldoc.Problem{
				Key: key, Value: redact.URL(src), Message: err.Error(), Hint: failure.Hint(err),
			})
			continue
		}
		m.Src[i] = to
		if _, open := relative(to); open {
			continue
		}
		if err = rules.Src(to); err != nil {
			problems = append(problems, &yamldoc.Problem{Key: key, Message: err.Error(), Hint: failure.Hint(err)})
		}
	}
	return problems
}
