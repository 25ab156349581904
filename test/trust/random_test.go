package trust

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"path"
	"slices"
	"strings"
)

// heads are how URLs begin. HOST is the server that is allowed, OTHER one that is
// not.
func heads() []string {
	return []string{"http://HOST/deploys/", "http://HOST/deploys", "http://HOST/", "HTTP://HOST/deploys/../",
		"http://x@HOST/deploys/", "http://OTHER@HOST/deploys/", "http://HOST@OTHER/deploys/", "http://HOST:@OTHER/deploys/",
		"http://OTHER\\@HOST/deploys/", "http://OTHER#@HOST/deploys/", "http://OTHER?@HOST/deploys/", "http:///HOST/deploys/",
		"http:HOST/deploys/", "http:/OTHER/deploys/", "//HOST/deploys/", "//OTHER/deploys/", "http://HOST\\@OTHER/deploys/",
		"http://HOST%40OTHER/deploys/", "http://HOST;OTHER/deploys/", "/deploys/", "/", "", "?", "\\\\OTHER/deploys/",
		"/\\OTHER/deploys/", "///OTHER/deploys/", "../", "./", "http://OTHER/", "https://HOST/deploys/", "file:///deploys/"}
}

// elements are what their paths are made of.
func elements() []string {
	return []string{"..", ".", "%2e", "%2E%2e", "/", "/", "/", "%2f", "\\", "%5c", ";", "%3b", "deploys", "evil", "@",
		":", "#", "?", "%00", "%0a", "%09", "%20", "／", "．", "％", "%c0%ae", "%e2%81%84", "%u002e", "*", "//", "%25", "%252e",
		"%", "%ff", "é", "..%00", "…", "%c2%a0", "%ef%bc%8f", "~", "+", "&", "=", "%7f", "{", "|", "^", "[", "'", "\"", "<"}
}

// randomURLs are so many URLs, the same each time.
func (h *host) randomURLs(n int) (urls []string) {
	r := rand.New(rand.NewPCG(1, 2))
	name := func(s *server) string { return strings.TrimPrefix(s.URL, "http://") }
	host := strings.NewReplacer("HOST", name(h.web), "OTHER", name(h.other))
	begin, next := heads(), elements()
	for range n {
		text := host.Replace(begin[r.IntN(len(begin))])
		for range 1 + r.IntN(5) {
			text += next[r.IntN(len(next))]
		}
		urls = append(urls, text+"/x.yml")
	}
	return urls
}

// onlyDeploys makes a host that may ask for what is below /deploys/ alone.
func (h *host) onlyDeploys() {
	h.t.Helper()
	list := fmt.Sprintf("[\"%s/deploys/\"]", h.web.URL)
	h.write("etc/policy.d/paths.yml", fmt.Sprintf("allow: {manifests: %[1]s, sources: %[1]s}\n", list))
}

// randomEvents: whatever the URL of an event, what is asked for lies below what
// is allowed, for a server as well that reads paths in an odd way.
func randomEvents(h *host) {
	h.onlyDeploys()
	for some := range slices.Chunk(h.randomURLs(800), 200) {
		h.run(append([]string{"check"}, some...)...)
	}
	h.askedBelow("/deploys")
}

// randomRedirects: the same, of what a server redirects to.
func randomRedirects(h *host) {
	h.onlyDeploys()
	var urls []string
	for i, to := range h.randomURLs(800) {
		name := fmt.Sprintf("/deploys/%d.yml", i)
		h.web.on(name, redirect(to))
		urls = append(urls, h.web.URL+name)
	}
	for some := range slices.Chunk(urls, 200) {
		h.run(append([]string{"check"}, some...)...)
	}
	h.askedBelow("/deploys")
	if n := len(h.web.asked()); n < 800 {
		h.t.Errorf("only %d requests", n)
	}
}

// askedBelow judges the paths of the requests, read in several ways.
func (h *host) askedBelow(prefix string) {
	h.t.Helper()
	asked := h.web.asked()
	if len(asked) == 0 || len(h.other.asked()) > 0 {
		h.t.Errorf("%d requests, and of another server %q", len(asked), h.other.asked())
	}
	for _, whole := range asked {
		name, _, _ := strings.Cut(whole, "?")
		for range 3 {
			clean := path.Clean(strings.ReplaceAll(name, "\\", "/"))
			if clean != prefix && !strings.HasPrefix(clean, prefix+"/") || !strings.HasPrefix(name, prefix) {
				h.t.Errorf("a request for %q", whole)
				break
			}
			if decoded, err := url.PathUnescape(name); err == nil {
				name = decoded
			}
		}
	}
}
