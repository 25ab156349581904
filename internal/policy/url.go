package policy

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"stretcher/internal/text/redact"
)

// place is where a URL leads to, in the one form that all URLs have which lead
// there. A URL of which that can't be said for sure has none.
type place struct {
	scheme string
	host   string // with the port, where it is not the scheme's own
	path   string // absolute, decoded
}

// placeAt is the place that a URL leads to; why says why it has none.
func placeAt(raw string) (at place, why string) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Scheme == "" || u.Opaque != "":
		return place{}, "what is no URL"
	case u.User != nil && !isHTTP(u):
		return place{}, "a user in the URL"
	}
	host, err := hostOf(u)
	if err != nil {
		return place{}, err.Error()
	}
	if why := ambiguous(u); why != "" {
		return place{}, why
	}
	return place{u.Scheme, host, pathOf(u)}, ""
}

// IsDowngrade tells whether next is not https, though first is: what was asked for
// by https, and where a server has sent us.
func IsDowngrade(first, next string) bool { return isHTTPS(first) && !isHTTPS(next) }

func isHTTPS(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Scheme == "https"
}

func isHTTP(u *url.URL) bool { return u.Scheme == "http" || u.Scheme == "https" }

// isBucket tells whether a URL names an object in a bucket: its path is a key,
// of which only slashes at its head do not count.
func isBucket(u *url.URL) bool {
	return u.Scheme == "s3" || u.Scheme == "gs" || u.Scheme == "az" || isConsul(u)
}

// isConsul tells whether a URL names a key of Consul's: its host is the first part.
func isConsul(u *url.URL) bool { return u.Scheme == "consul" }

// isRegistry tells whether a URL names what a registry holds, by
// REPOSITORY@DIGEST or REPOSITORY:TAG.
func isRegistry(u *url.URL) bool { return u.Scheme == "oci" }

// hostOf is the host and port that are asked. The names of buckets are
// different in upper and lower case, those of hosts are not.
func hostOf(u *url.URL) (string, error) {
	switch {
	case u.Scheme == "file" && u.Host == "localhost":
		return "", nil
	case !isHTTP(u) && !isRegistry(u):
		return u.Host, nil
	}
	host, port := u.Hostname(), u.Port()
	if port == map[string]string{"http": "80", "https": "443", "oci": "443"}[u.Scheme] {
		port = ""
	}
	host, err := oneName(host)
	if err != nil {
		return "", err
	}
	if isRegistry(u) && host == "docker.io" {
		host = "registry-1.docker.io" // which is asked then
	}
	if host == "" {
		return "", errors.New("a URL without a host")
	}
	if port == "" && !strings.Contains(host, ":") {
		return host, nil
	}
	return net.JoinHostPort(host, port), nil
}

// oneName is a host in ASCII and lower case. The client makes two names of one
// that is not ASCII: it connects to the one that Lookup maps it to, and names
// the other, of its characters as they are, to proxies and in the Host header.
// Only where both are equal there is one host to judge.
func oneName(host string) (string, error) {
	if strings.IndexFunc(host, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
		return strings.ToLower(host), nil
	}
	asked, err := idna.Lookup.ToASCII(host)
	if err != nil {
		return "", errors.New("a host that no client asks for")
	}
	told, err := idna.Punycode.ToASCII(host)
	if err != nil || !strings.EqualFold(asked, told) {
		return "", errors.New("a host that is not written as it is asked for")
	}
	return strings.ToLower(asked), nil
}

// pathOf is the path in the form that paths of its kind are compared in.
func pathOf(u *url.URL) string {
	switch {
	case u.Scheme == "az":
		container, key, found := strings.Cut(strings.TrimLeft(u.Path, "/"), "/")
		if key = strings.TrimLeft(key, "/"); found {
			container += "/"
		}
		return "/" + container + key
	case isBucket(u):
		return "/" + strings.TrimLeft(u.Path, "/")
	case isRegistry(u):
		return repositoryPath(u.Path)
	case u.Path == "":
		return "/"
	case u.Scheme == "file":
		return path.Clean(u.Path)
	}
	return u.Path
}

// repositoryPath has what follows the name of a repository as a name of its own,
// so that a prefix that is a repository holds all that is in it, and no other
// repository: /team/app:v1 is /team/app/:v1. No name in a repository's begins so.
// The index of what is there is below it.
func repositoryPath(path string) string {
	if i := strings.IndexAny(path, "@:"); i >= 0 {
		what, isIndex := strings.CutSuffix(path[i:], ".idx")
		if isIndex {
			what += "/.idx"
		}
		return path[:i] + "/" + what
	}
	return cmp.Or(path, "/")
}

// ambiguous says what makes a server perhaps take the path for another one: it
// may decode it once more or not at all, take a backslash for a slash, cut off
// what follows a semicolon, or drop characters.
func ambiguous(u *url.URL) string {
	for _, element := range strings.Split(u.Path, "/") {
		if element == "." || element == ".." {
			return "a path with dot segments"
		}
	}
	switch {
	case isBucket(u): // decoded once, by us; nothing should do so again
		return ambiguousKey(u.Path)
	case isRegistry(u):
		if u.RawPath != "" || strings.ContainsFunc(u.Path, isNoneOfRepository) || strings.Contains(u.Path, "//") {
			return "what is no name of a repository"
		}
		return ""
	case !isHTTP(u):
		return "" // a name
	}
	sent := strings.ToLower(u.EscapedPath())
	for _, code := range []string{"%2f", "%5c", "%2e", "%25", "%3b", ";", "\\"} {
		if strings.Contains(sent, code) {
			return fmt.Sprintf("a path with %q", code)
		}
	}
	if code := needless(sent); code != "" {
		return fmt.Sprintf("a path with %q", code)
	}
	for _, element := range strings.Split(u.Path, "/") {
		if element != "" && strings.Trim(element, ". ") == "" {
			return "a path with dot segments"
		}
	}
	if !utf8.ValidString(u.Path) || strings.ContainsFunc(u.Path, unicode.IsControl) {
		return "a path with control characters, or what is not UTF-8"
	}
	if marks(norm.NFKC.String(u.Path)) > marks(u.Path) || strings.ContainsAny(u.Path, "\u2044\u2215\u2216\u29f5") {
		return "a path with characters that look like / \\ . % or ;"
	}
	return ""
}

// needless is the first escape of a letter or digit in a path; "" = there is
// none. Nobody has a reason to write one, and who routes by the path as it is
// sent takes it for another.
func needless(sent string) string {
	for rest := sent; ; {
		i := strings.IndexByte(rest, '%')
		if i < 0 || i+3 > len(rest) {
			return ""
		}
		code := rest[i : i+3]
		if c, err := url.PathUnescape(code); err == nil && c[0] < utf8.RuneSelf && isLetterOrDigit(rune(c[0])) {
			return code
		}
		rest = rest[i+3:]
	}
}

// isNoneOfRepository tells what no name of a repository, no tag and no digest
// holds.
func isNoneOfRepository(r rune) bool {
	return r >= utf8.RuneSelf || !isLetterOrDigit(r) && !strings.ContainsRune("/._-:@", r)
}

func isLetterOrDigit(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// ambiguousKey is ambiguous for the key of an object, which may hold a percent
// sign and a semicolon.
func ambiguousKey(key string) string {
	lower := strings.ToLower(key)
	for _, code := range []string{"%2f", "%5c", "%2e", "\\"} {
		if strings.Contains(lower, code) {
			return fmt.Sprintf("a key with %q", code)
		}
	}
	if strings.ContainsFunc(key, unicode.IsControl) {
		return "a key with control characters"
	}
	return ""
}

// marks counts the characters that mean something to servers.
func marks(path string) (n int) {
	for _, mark := range []string{"/", "\\", ".", "%", ";"} {
		n += strings.Count(path, mark)
	}
	return n
}

// checkPrefix tells whether an entry of a list can allow anything, and means
// what it says.
func checkPrefix(entry string) error {
	bad := func(why string) error { return fmt.Errorf("%q %s", redact.URL(entry), why) }
	u, err := url.Parse(entry)
	if err != nil || u.Scheme == "" || u.Opaque != "" {
		return bad("is not the beginning of a URL")
	}
	_, why := placeAt(entry)
	switch {
	case !slices.Contains(Schemes(), u.Scheme):
		return bad("is never allowed: nothing is fetched by " + u.Scheme + ", but by " + strings.Join(Schemes(), ", "))
	case why != "":
		return bad("is never allowed: " + why)
	case u.Host == "" && u.Scheme != "file":
		return bad("is never allowed: a URL without a host")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return bad("has more than scheme, host and path: the rest does not count")
	case u.Scheme == "file" && u.Host != "" && u.Host != "localhost":
		return bad("is never allowed: a file has no host; write file:///" + u.Host + u.Path)
	case u.Port() != "" && !isPort(u):
		return bad(fmt.Sprintf("is never allowed: the port %q", u.Port()))
	case strings.Contains(u.Host, "*"):
		return bad("has a * in its host, which stands for itself")
	case strings.Contains(entry, "*"):
		return bad(starred)
	case strings.Contains(strings.Trim(u.Path, "/"), "//") || strings.HasPrefix(u.Path, "//"):
		return bad("has an empty name in its path")
	}
	return nil
}

// Schemes are those that something can be fetched by.
func Schemes() []string { return []string{"az", "consul", "file", "gs", "http", "https", "oci", "s3"} }

// isPort tells whether the port of a URL can be asked, and is written as it is
// in others. A bucket has none.
func isPort(u *url.URL) bool {
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == u.Port() && (isHTTP(u) || isRegistry(u))
}

// prefix is an entry of a list of URLs.
type prefix struct {
	place
	real string // of files: where the symlinks of path lead, as far as nobody else has put them there
	text string
}

// prefixesOf are the entries of a list that checkPrefix has found good; nil =
// there is no list.
func prefixesOf(entries []string) (all []prefix) {
	if entries != nil {
		all = []prefix{}
	}
	for _, entry := range entries {
		p := prefix{text: redact.URL(entry)}
		p.place, _ = placeAt(entry)
		p.path = path.Join("/", p.path)
		if p.real = p.path; p.scheme == "file" {
			p.real = sureName(p.path)
		}
		all = append(all, p)
	}
	return all
}

// below reports whether a place is the prefix or below it. Scheme and host must
// be equal, so that "https://a" does not allow "https://a.example". Of a prefix
// of files counts where its symlinks lead, too.
func (at place) below(p prefix) bool {
	return at.scheme == p.scheme && at.host == p.host && (belowPath(at.path, p.path) || belowPath(at.path, p.real))
}

func belowPath(name, prefix string) bool {
	return prefix == "/" || name == prefix || strings.HasPrefix(name, prefix+"/")
}
