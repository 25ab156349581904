package policy

import (
	"errors"
	"fmt"
	"maps"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"stretcher/internal/text/redact"
)

// HTTP is what this host has for servers of http and https below a URL: names of
// files, which are read when a server is asked.
type HTTP struct {
	URL         Text            `yaml:"url"`
	HeaderFiles map[string]Text `yaml:"header_files"` // by header, the file with its value
	ClientCert  Text            `yaml:"client_cert"`
	ClientKey   Text            `yaml:"client_key"` // "" = it is in the file of the certificate
	CA          Text            `yaml:"ca"`         // of authorities, in the place of the system's
	Netrc       Text            `yaml:"netrc"`      // of users and passwords by host
}

// files are all that it names, by key.
func (h HTTP) files() map[string]string {
	all := map[string]string{
		"client_cert": string(h.ClientCert), "client_key": string(h.ClientKey), "ca": string(h.CA), "netrc": string(h.Netrc),
	}
	for name, file := range h.HeaderFiles {
		all["header_files."+name] = string(file)
	}
	maps.DeleteFunc(all, func(_, file string) bool { return file == "" })
	return all
}

// ownHeaders are those of a request that say something of the request itself.
func ownHeaders() []string {
	return strings.Fields("Accept-Encoding Connection Content-Length Content-Range Content-Type Expect Host If-Match " +
		"If-None-Match If-Range Keep-Alive Proxy-Authorization Proxy-Connection Range Repr-Digest Te Trailer " +
		"Transfer-Encoding Upgrade")
}

// check judges one entry of http.
func (h HTTP) check() error {
	if h.URL == "" {
		return errors.New("has no url: it says what the files are for")
	}
	if err := checkPrefix(string(h.URL)); err != nil {
		return err
	}
	u, err := url.Parse(string(h.URL))
	files := h.files()
	switch {
	case err != nil || !isHTTP(u):
		return fmt.Errorf("%q is not http or https: other stores have credentials of their own", redact.URL(string(h.URL)))
	case len(files) == 0:
		return fmt.Errorf("%q has nothing but a url", redact.URL(string(h.URL)))
	case h.ClientKey != "" && h.ClientCert == "":
		return errors.New("client_key has no client_cert")
	case u.Scheme == "http" && (h.ClientCert != "" || h.CA != ""):
		return errors.New("client_cert and ca are for https")
	}
	for _, key := range slices.Sorted(maps.Keys(files)) {
		if err := absolute(files[key]); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return h.checkHeaders()
}

func (h HTTP) checkHeaders() error {
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(h.HeaderFiles)) {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case h.HeaderFiles[name] == "":
			return fmt.Errorf("header_files.%s: is empty", name)
		case !httpguts.ValidHeaderFieldName(name):
			return fmt.Errorf("header_files: %q is not the name of a header", name)
		case slices.Contains(ownHeaders(), canonical):
			return fmt.Errorf("header_files: %q says something of each request, and can't be set", name)
		case seen[canonical]:
			return fmt.Errorf("header_files: %q stands twice", canonical)
		}
		seen[canonical] = true
	}
	return nil
}

// checkHTTP judges the entries of a file.
func (f *File) checkHTTP() error {
	var before []prefix
	for i, h := range f.HTTP {
		key := fmt.Sprintf("http[%d]", i)
		if err := h.check(); err != nil {
			return mistake{key, err}
		}
		at := prefixesOf([]string{string(h.URL)})[0]
		if slices.ContainsFunc(before, func(p prefix) bool { return p.place == at.place }) {
			return mistake{key, fmt.Errorf("%q stands twice", at.text)}
		}
		before = append(before, at)
	}
	return nil
}

// Access is what this host has for the server of a URL: the entry of http with the
// longest url that it is below.
func (p *Policy) Access(raw string) (found HTTP, ok bool) {
	longest := -1
	for _, l := range p.layers {
		for i, at := range l.servers {
			if n := len(at.path); n > longest && at.serves(raw) {
				found, ok, longest = l.HTTP[i], true, n
			}
		}
	}
	return found, ok
}

// serves tells whether a URL is below the prefix. Of a whole host it does not
// matter how its paths are taken.
func (p prefix) serves(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.Scheme != p.scheme {
		return false
	}
	host, err := hostOf(u)
	if err != nil || host != p.host {
		return false
	}
	if p.path == "/" {
		return true
	}
	at, why := placeAt(raw)
	return why == "" && at.below(p)
}

// contradictsHTTP tells whether a layer has an entry that another one has, too.
func (p *Policy) contradictsHTTP(l layer) error {
	for i, at := range l.servers {
		for _, earlier := range p.layers {
			for k, was := range earlier.servers {
				if was.place == at.place {
					key := fmt.Sprintf("http[%d]", i)
					return fmt.Errorf("line %d: %s: %q is set on %s, too", l.line(key), key, at.text,
						earlier.place(fmt.Sprintf("http[%d]", k)))
				}
			}
		}
	}
	return nil
}

// ownFiles are the files of http.
func (p *Policy) ownFiles() (list []Own) {
	for _, l := range p.layers {
		for _, h := range l.HTTP {
			files := h.files()
			for _, key := range slices.Sorted(maps.Keys(files)) {
				list = append(list, Own{"the credentials", files[key], false})
			}
		}
	}
	return list
}
