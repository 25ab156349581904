package policy

import (
	"fmt"
	"net/url"
	"path"
	"strings"

	"stretcher/internal/text/redact"
)

func allowURL(what, raw string, prefixes []string) error {
	if len(prefixes) == 0 {
		return nil
	}
	u, err := url.Parse(raw)
	if err == nil && !ambiguous(u) {
		for _, prefix := range prefixes {
			if below(u, prefix) {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: %s %q is not allowed", ErrRefused, what, redact.URL(raw))
}

// ambiguous reports whether a server might take the path for another one: it
// may decode it once more or not at all, take a backslash for a slash, and cut
// off what follows a semicolon.
func ambiguous(u *url.URL) bool {
	for _, element := range strings.Split(u.Path, "/") {
		if name, _, _ := strings.Cut(element, ";"); name == ".." || name == "." {
			return true
		}
	}
	if !isHTTP(u) {
		return false // decoded once, by us; the rest is a name
	}
	sent := strings.ToLower(u.EscapedPath())
	for _, code := range []string{"%2f", "%5c", "%2e", "%25", "%3b", "%00", "\\"} {
		if strings.Contains(sent, code) {
			return true
		}
	}
	return strings.Contains(u.Path, "\\")
}

func isHTTP(u *url.URL) bool { return u.Scheme == "http" || u.Scheme == "https" }

// below reports whether u is the URL prefix or below it. Scheme and host must
// be equal, so that "https://a" does not allow "https://a.example". Upper and
// lower case are one in the names of hosts, and two in those of buckets.
func below(u *url.URL, prefix string) bool {
	p, err := url.Parse(prefix)
	if err != nil || u.Scheme != p.Scheme || u.Opaque != "" {
		return false
	}
	if u.Host != p.Host && !(isHTTP(u) && strings.EqualFold(u.Host, p.Host)) {
		return false
	}
	name := u.Path
	if u.Scheme == "s3" || u.Scheme == "gs" { // a key never begins with a slash
		name = "/" + strings.TrimLeft(name, "/")
	}
	return belowPath(name, path.Join("/", p.Path))
}

func belowPath(name, prefix string) bool {
	return prefix == "/" || name == prefix || strings.HasPrefix(name, prefix+"/")
}
