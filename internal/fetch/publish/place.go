package publish

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"stretcher/internal/fetch/store"
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
	if p.base, name, err = parseTarget("--public-url", base); err != nil {
		return p, err
	}
	bare, err := withoutUser(p.base)
	switch {
	case err != nil:
		return p, err
	case name != "":
		err = failure.Usage("--public-url %q is the manifest's: the URL of the directory is expected", redact.URL(base))
	case bare != p.base:
		err = failure.Hinted("a host has what servers want of it in http of its policy, or in ~/.netrc",
			failure.Usage("--public-url %q has a user or a password: all who read the manifest would have it", redact.URL(base)))
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
	case u.Scheme != "file" && u.Opaque == "" && u.Host == "" && strings.Trim(u.Path, "/") == "":
		return "", "", failure.Usage("%s %q names no bucket or host", flag, redact.URL(raw))
	case u.Opaque != "":
		return "", "", failure.Usage("%s %q: // is missing behind the scheme", flag, redact.URL(raw))
	}
	raw = u.String() // spaces are escaped
	if i := strings.LastIndexByte(raw, '/'); isManifestName(raw[i+1:]) && i > strings.Index(raw, "://")+2 {
		raw, manifest = raw[:i+1], raw[i+1:]
	}
	return strings.TrimRight(raw, "/") + "/", manifest, nil
}

// checkPlace refuses a target that nothing can be put to, or that lies in what is
// packed: the next archive would have this one in it.
func (r *run) checkPlace() error {
	check := r.Store.CheckPut
	if r.Source.dir != nil || r.Source.archive != nil { // else a manifest goes there alone
		check = r.Store.CheckPutArchive
	}
	if err := check(r.place.to + "manifest.yml"); err != nil {
		return failure.Hinted(store.Hint(err), failure.Usage("--to: %w", err))
	}
	if err := check(r.place.base + "manifest.yml"); err != nil && !errors.Is(err, store.ErrReadOnly) {
		return failure.Hinted(store.Hint(err), failure.Usage("--public-url: %w", err))
	}
	dir := r.place.local()
	if dir == "" || r.Source.dir == nil {
		return nil
	}
	rel, in := r.Source.below(dir)
	if !in {
		return nil
	}
	if rel != "." && r.Source.skips(rel) {
		return nil
	}
	hint := ""
	if rel != "." {
		hint = fmt.Sprintf("--exclude /%s leaves it out", rel)
	}
	return failure.Hinted(hint, failure.Usage("the target %q lies in what is packed, %q", dir, r.Source.Name))
}

// local is the path of a target on this machine, or "".
func (p place) local() string {
	u, err := url.Parse(p.to)
	if err != nil || u.Scheme != "file" {
		return ""
	}
	return filepath.Clean(u.Path)
}

// make makes a target on this machine. Others have no directories.
func (p place) make() error {
	if dir := p.local(); dir != "" {
		return os.MkdirAll(dir, 0o755)
	}
	return nil
}

// below tells where in the directory a path lies, wherever symlinks lead; it need
// not be there yet.
func (s *Source) below(path string) (rel string, in bool) {
	rest := ""
	for {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
			break
		}
		rest = filepath.Join(filepath.Base(path), rest)
		if path = filepath.Dir(path); path == "/" {
			break
		}
	}
	rel, err := filepath.Rel(s.dir.Path(), filepath.Join(path, rest))
	return rel, err == nil && filepath.IsLocal(rel)
}

// skips tells whether what is at a path is left out, by itself or with what it
// lies in.
func (s *Source) skips(rel string) bool {
	for at := rel; s.Pack.Skip != nil && at != "."; at = filepath.Dir(at) {
		if s.Pack.Skip(at, true) {
			return true
		}
	}
	return false
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

// fileWord is a text as such a part of no other text: one that can't stand there as
// it is has a digest at its end.
func fileWord(text string) string {
	name := fileName(text)
	if name == text {
		return name
	}
	sum := sha256.Sum256([]byte(text))
	digest := hex.EncodeToString(sum[:4])
	name = strings.TrimRight(name[:min(len(name), maxTitle-1-len(digest))], ".-")
	return strings.TrimLeft(name+"-"+digest, "-")
}

// fileTitle is what the archive's name begins with.
func fileTitle(manifest, name, version string) (string, error) {
	if manifest != "" {
		return strings.TrimSuffix(strings.TrimSuffix(manifest, ".yaml"), ".yml"), nil
	}
	if fileName(name) == "" {
		return "", failure.Hinted("give one by --name NAME, or the manifest's own by --to URL/NAME.yml",
			failure.Usage("no file can be named after %q, which has none of a-z, A-Z, 0-9 and _", name))
	}
	title := fileWord(name)
	if version != "" {
		title += "-" + fileWord(version)
	}
	return title, nil
}
