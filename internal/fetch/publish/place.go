package publish

import (
	"net/url"
	"strings"

	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
)

// place is the target.
type place struct {
	to, base string // URLs that end in a slash
	manifest string // the manifest's own name; "" = that of what it deploys
}

// parsePlace reads the URLs of a target.
func parsePlace(to, base string) (p place, err error) {
	if p.to, p.manifest, err = parseTarget("--to", to); err != nil {
		return p, err
	}
	if base == "" {
		p.base, err = withoutUser(p.to)
		return p, err
	}
	name := ""
	if p.base, name, err = parseTarget("--public-url", base); err == nil && name != "" {
		err = failure.Usage("--public-url %q is the manifest's: the URL of the directory is expected", redact.URL(base))
	}
	return p, err
}

// parseTarget reads the URL of a directory, or of a manifest in one.
func parseTarget(flag, raw string) (dir, manifest string, err error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Scheme == "":
		return "", "", failure.Usage("%s %q is no URL", flag, redact.URL(raw))
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", "", failure.Usage("%s %q has a query or a fragment: hosts would have to be told it", flag, redact.URL(raw))
	case u.Opaque != "":
		return "", "", failure.Usage("%s %q: // is missing behind the scheme", flag, redact.URL(raw))
	}
	if i := strings.LastIndexByte(raw, '/'); isManifestName(raw[i+1:]) && i > strings.Index(raw, "://")+2 {
		raw, manifest = raw[:i+1], raw[i+1:]
	}
	return strings.TrimRight(raw, "/") + "/", manifest, nil
}

// isManifestName tells whether the last part of a URL is a manifest's.
func isManifestName(name string) bool {
	stem, yml := strings.CutSuffix(name, ".yml")
	if !yml {
		stem, yml = strings.CutSuffix(name, ".yaml")
	}
	return yml && stem != "" && fileName(stem) == stem
}

// withoutUser is a URL that hosts are told: what the target's has of credentials
// is not for them.
func withoutUser(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.User == nil {
		return raw, err
	}
	_, rest, _ := strings.Cut(raw, "://")
	at := strings.IndexByte(rest, '@')
	return u.Scheme + "://" + rest[at+1:], nil
}

// maxTitle bounds what a file's name has of a name and of a version, each.
const maxTitle = 80

// fileName is a text as a part of a file's name that means itself everywhere:
// in URLs, shells and buckets.
func fileName(text string) string {
	var b strings.Builder
	for _, c := range text {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_':
			b.WriteRune(c)
		case !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	name := strings.Trim(b.String(), ".-")
	return strings.TrimRight(name[:min(len(name), maxTitle)], ".-")
}

// fileTitle is what the archive's name begins with.
func (r *run) fileTitle() (string, error) {
	if name := r.place.manifest; name != "" {
		return strings.TrimSuffix(strings.TrimSuffix(name, ".yaml"), ".yml"), nil
	}
	name := fileName(r.About.Name)
	if name == "" {
		return "", failure.Hinted("give one by --name NAME, or the manifest's own by --to URL/NAME.yml",
			failure.Usage("no file can be named after %q", r.About.Name))
	}
	if r.About.Version != "" {
		name += "-" + fileName(r.About.Version)
	}
	return strings.TrimRight(name, "-"), nil
}
