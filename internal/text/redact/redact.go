// Package redact takes secrets out of URLs before they reach a log line, an
// error or the history: user information (tokens travel as user names too),
// query values (presigned URLs) and fragments.
//
// What is left still says which object was meant: scheme, host and path. It
// imports nothing of this module.
package redact

import (
	"errors"
	"net/url"
	"strings"
)

// mask stands where a secret was, as net/url's URL.Redacted writes it.
const mask = "xxxxx"

// URL returns raw without its secrets, in a form a person recognises:
// https://xxxxx@host/p?xxxxx. It is for messages, not for requests. Input that
// does not parse as a URL loses everything up to its last @ and everything
// after its first ? or #, or all but its scheme where these contradict. What has no
// scheme, and so is no URL, is otherwise left as somebody has typed it.
func URL(raw string) string {
	return without(raw, func(u *url.URL) string {
		if u.Scheme == "" && u.Host == "" {
			path, _, _ := strings.Cut(raw, "#")
			path, _, _ = strings.Cut(path, "?")
			return path
		}
		return u.EscapedPath()
	})
}

// Hides tells whether URL has left something out of what it returned.
func Hides(shown string) bool { return strings.Contains(shown, mask) }

// without is raw without its secrets, with the path as it is written.
func without(raw string, pathOf func(*url.URL) string) string {
	u, err := url.Parse(raw)
	if err != nil || misread(u) {
		return broken(raw)
	}
	var b strings.Builder
	if u.Scheme != "" {
		b.WriteString(u.Scheme + ":")
	}
	if u.Host != "" || u.User != nil || strings.HasPrefix(raw, u.Scheme+"://") {
		b.WriteString("//")
	}
	if u.User != nil {
		b.WriteString(mask + "@")
	}
	b.WriteString(u.Host + hideOpaque(u.Opaque) + hideUser(pathOf(u)))
	if u.RawQuery != "" {
		b.WriteString("?" + mask)
	}
	if u.Fragment != "" {
		b.WriteString("#" + mask)
	}
	return b.String()
}

// misread tells whether u's host may be user information that an unescaped
// delimiter cut short: user:123?rest@host parses, with port 123.
func misread(u *url.URL) bool {
	if u.User != nil || !strings.Contains(u.Host, ":") {
		return false
	}
	return !strings.HasPrefix(u.Host, "[") && strings.Contains(u.Hostname(), ":") ||
		strings.Contains(u.RawQuery+u.Fragment, "@")
}

// broken is URL for input that can't be parsed.
func broken(raw string) string {
	scheme := ""
	if i := strings.Index(raw, "://"); i >= 0 && isScheme(raw[:i]) {
		scheme, raw = raw[:i+3], raw[i+3:]
	}
	at, end := strings.LastIndexByte(raw, '@'), strings.IndexAny(raw, "?#")
	if end >= 0 && end < at {
		return scheme + mask // a ? in a password, or an @ in a query
	}
	tail := ""
	if end >= 0 {
		raw, tail = raw[:end], raw[end:end+1]+mask
	}
	user := ""
	if at >= 0 {
		user, raw = mask+"@", raw[at+1:]
	}
	if user == "" && scheme == "" && strings.Contains(raw, ":") {
		return mask + tail
	}
	if user == "" {
		raw = hideAuthority(raw)
	}
	return scheme + user + raw + tail
}

// hideAuthority masks what stands before the path when it holds a colon: a
// password cut short by an unescaped delimiter looks like a port.
func hideAuthority(s string) string {
	host, path, found := strings.Cut(s, "/")
	if !strings.Contains(host, ":") {
		return s
	}
	if !found {
		return mask
	}
	return mask + "/" + path
}

// hideUser masks user information in a path, where it lands when a URL has one
// or three slashes after its scheme, or no scheme. A path such as
// /@scope/pkg@1.2 has no colon before its @ and is kept.
func hideUser(s string) string {
	at := strings.LastIndexByte(s, '@')
	if at < 0 || !strings.Contains(s[:at], ":") {
		return s
	}
	return mask + s[at:]
}

// hideOpaque masks user information in user:password@host, which net/url takes
// for a scheme and an opaque part.
func hideOpaque(s string) string {
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		return mask + s[at:]
	}
	return s
}

// Text returns s with every URL in it redacted: whatever holds "://" up to the
// next space, or quote that is not escaped. What is no secret stays as it is, since
// more may be taken for a URL than is one: https://host/$APP|sh.
func Text(s string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, "://")
		if i < 0 {
			return b.String() + s
		}
		start := i
		for start > 0 && isSchemeByte(s[start-1]) {
			start--
		}
		raw := s[start:urlEnd(s, start, i+3)]
		b.WriteString(s[:start] + without(raw, func(*url.URL) string { return rawPath(raw[i+3-start:]) }))
		s = s[start+len(raw):]
	}
}

// rawPath is the path as it is written, of what stands behind the scheme of a URL.
func rawPath(rest string) string {
	if end := strings.IndexAny(rest, "?#"); end >= 0 {
		rest = rest[:end]
	}
	if at := strings.IndexByte(rest, '/'); at >= 0 {
		return rest[at:]
	}
	return ""
}

// urlEnd is the index in s, from i on, where a URL ends that begins at start. One
// that is quoted ends at the quote: it may hold spaces, and a password behind them.
func urlEnd(s string, start, i int) int {
	if end := quoteEnd(s, start, i); end >= 0 {
		return end
	}
	for ; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case ' ', '\t', '\r', '\n', '"', '\'', '`', '<', '>':
			return i
		}
	}
	return len(s)
}

// quoteEnd is the index in s, from i on, of the quote that ends what one before start
// begins, or -1. A text may be quoted in one that is quoted: "curl \"URL\" and more".
func quoteEnd(s string, start, i int) int {
	if start == 0 || !strings.ContainsRune("\"'`", rune(s[start-1])) {
		return -1
	}
	quote, outer := s[start-1], depth(s, start-1)
	for ; i < len(s); i++ {
		if s[i] != quote {
			continue
		}
		if d := depth(s, i); quote != '"' || d <= outer {
			return i - (1<<d - 1)
		}
	}
	return -1
}

// depth is in how many others the quotes at i are quoted: 1 for \", 2 for \\\".
func depth(s string, i int) (n int) {
	escapes := i - len(strings.TrimRight(s[:i], `\`))
	for ; escapes%2 == 1; escapes /= 2 {
		n++
	}
	return n
}

// Error returns err with the URLs in its text redacted. It unwraps to err, so
// errors.Is and errors.As see what they saw. A nil err gives nil.
func Error(err error) error {
	if err == nil {
		return nil
	}
	return &redacted{text: errorText(err), err: err}
}

type redacted struct {
	text string
	err  error
}

// Error is the text without secrets.
func (e *redacted) Error() string { return e.text }

// Unwrap gives errors.Is the error as it was.
func (e *redacted) Unwrap() error { return e.err }

func errorText(err error) string {
	text := err.Error()
	var ue *url.Error
	if !errors.As(err, &ue) {
		return Text(text)
	}
	// net/url quotes the piece it stumbled over, which may be the password.
	inner := Text(ue.Err.Error())
	if ue.Op == "parse" {
		inner = "malformed URL"
	}
	short := ue.Op + " " + quote(URL(ue.URL)) + ": " + inner
	head, tail, found := strings.Cut(text, ue.Error())
	if !found {
		return short
	}
	return Text(head) + short + Text(tail)
}

func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }

func isScheme(s string) bool {
	for i := range len(s) {
		if !isSchemeByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isSchemeByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '+' || c == '-' || c == '.'
}
