// Package access reads what a host has for servers: headers, certificates, users
// and passwords.
//
// Its words: a grant says which files hold what the servers below a URL get; a
// netrc is a file of users and passwords by host, as of curl and ftp. Files are
// read when a server is asked, so that a token may be renewed while a run waits.
// They are believed if nobody but root and the caller can write them. What is in
// them is told to nobody but the server, and to who masks it.
//
// Of this module it imports fetch/store, disk and text. Which URL has which
// grant it is told.
package access

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"

	"stretcher/internal/disk"
	"stretcher/internal/fetch/store"
	"stretcher/internal/text/failure"
)

// maxFile bounds a file, in bytes.
const maxFile = 1 << 20

// Grant is what the servers below a URL get: names of files; "" = none.
type Grant struct {
	URL         string // for messages
	HeaderFiles map[string]string
	ClientCert  string
	ClientKey   string // "" = the key is in ClientCert
	CA          string
	Netrc       string
}

// Keyring finds what a server gets. It is safe for concurrent use; its fields
// must be set before.
type Keyring struct {
	// Of is the grant for a URL; nil = there is none.
	Of func(url string) (Grant, bool)
	// Netrc is a file that counts where no grant says anything of a user; "" =
	// none. One that is not there is none.
	Netrc string
	// Secret is told of each value that must not be seen.
	Secret func(name, value string)
	// Info and Warn are told once what a server gets, and why a file does not count.
	Info, Warn func(text string)

	mu      sync.Mutex
	configs map[connection]*tls.Config
	said    map[string]bool
}

// connection is what connections have in common that share a configuration.
type connection struct{ cert, key, ca string }

// For is what the server of a URL gets. Where another origin has led there, it is
// the authorities that its certificate is judged by, and nothing else.
func (k *Keyring) For(u *url.URL, way store.Way) (access store.Access, err error) {
	var grant Grant
	ok := false
	if k.Of != nil {
		grant, ok = k.Of(u.String())
	}
	if way.Strange {
		grant.HeaderFiles, grant.ClientCert, grant.ClientKey = nil, "", ""
	}
	if ok {
		if access.TLS, err = k.config(grant); err == nil && !way.Strange {
			access.Header, err = k.headers(grant, u, way)
		}
		if err == nil && grant.ClientCert != "" {
			k.tell(fmt.Sprintf("%q gets the client certificate %q", grant.URL, grant.ClientCert))
		}
		if err != nil {
			return store.Access{}, fmt.Errorf("what the host policy has for %q: %w", grant.URL, err)
		}
	}
	if grant.Netrc == "" && !way.Strange && !way.User && access.Header.Get("Authorization") == "" {
		k.addOwn(&access, u)
	}
	return access, nil
}

// headers reads those of a grant, and the user that its netrc has.
func (k *Keyring) headers(grant Grant, u *url.URL, way store.Way) (http.Header, error) {
	header := http.Header{}
	for _, name := range slices.Sorted(maps.Keys(grant.HeaderFiles)) {
		file := grant.HeaderFiles[name]
		value, err := readValue(file)
		if err != nil {
			return nil, fmt.Errorf("header_files.%s: %w", name, err)
		}
		header.Set(name, value)
		name = http.CanonicalHeaderKey(name)
		k.mask("header "+name, value)
		k.tell(fmt.Sprintf("%q gets header %s of %q", grant.URL, name, file))
	}
	if grant.Netrc == "" || way.User || header.Get("Authorization") != "" {
		return header, nil
	}
	text, err := read(grant.Netrc)
	if err != nil {
		return nil, fmt.Errorf("netrc: %w", err)
	}
	login, ok := find(parse(text), u.Hostname(), true)
	if ok {
		k.identify(header, login, grant.Netrc, u.Hostname())
	}
	return header, nil
}

// addOwn adds the user of the caller's own netrc. A file that can't be believed
// is none: nobody has asked for it.
func (k *Keyring) addOwn(access *store.Access, u *url.URL) {
	if k.Netrc == "" {
		return
	}
	if _, err := os.Lstat(k.Netrc); errors.Is(err, fs.ErrNotExist) { // nobody need be told of where none is
		return
	}
	text, err := read(k.Netrc)
	if err != nil {
		k.warn(failure.Sayf("users and passwords of %q do not count: %v", k.Netrc, err))
		return
	}
	if login, ok := find(parse(text), u.Hostname(), false); ok {
		if access.Header == nil {
			access.Header = http.Header{}
		}
		k.identify(access.Header, login, k.Netrc, u.Hostname())
	}
}

// identify sets the header of a user and a password.
func (k *Keyring) identify(header http.Header, l login, file, host string) {
	pair := base64.StdEncoding.EncodeToString([]byte(l.user + ":" + l.password))
	k.mask("password of "+host, l.password)
	k.mask("password of "+host, pair)
	header.Set("Authorization", "Basic "+pair)
	k.tell(fmt.Sprintf("%q gets a user and a password of %q", host, file))
}

// config is that of connections by a grant; nil where it says nothing of them.
func (k *Keyring) config(grant Grant) (*tls.Config, error) {
	c := connection{grant.ClientCert, grant.ClientKey, grant.CA}
	if c == (connection{}) {
		return nil, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if config, ok := k.configs[c]; ok {
		return config, nil
	}
	config, err := newConfig(c)
	if err != nil {
		return nil, err
	}
	if k.configs == nil {
		k.configs = map[connection]*tls.Config{}
	}
	k.configs[c] = config
	return config, nil
}

func newConfig(c connection) (*tls.Config, error) {
	config := &tls.Config{}
	if c.ca != "" {
		text, err := read(c.ca)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("ca: %q holds no certificate in PEM", c.ca)
		}
	}
	if c.cert == "" {
		return config, nil
	}
	cert, err := read(c.cert)
	if err != nil {
		return nil, fmt.Errorf("client_cert: %w", err)
	}
	key := cert
	if c.key != "" {
		if key, err = read(c.key); err != nil {
			return nil, fmt.Errorf("client_key: %w", err)
		}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("client_cert: %q: %w", c.cert, err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// readValue is the value of a header that is in a file, without the end of its
// line.
func readValue(name string) (string, error) {
	text, err := read(name)
	if err != nil {
		return "", err
	}
	value := strings.TrimSpace(string(text))
	switch {
	case value == "":
		return "", fmt.Errorf("%q is empty", name)
	case !httpguts.ValidHeaderFieldValue(value):
		return "", fmt.Errorf("%q holds what no header can, such as a second line", name)
	}
	return value, nil
}

// read reads a file that nobody but root and the caller can have written.
func read(name string) ([]byte, error) {
	f, err := disk.OpenTrusted(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("larger than %d bytes", maxFile)
	}
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	return bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), nil
}

// mask tells of a value, and of its words, as of a token behind a scheme.
func (k *Keyring) mask(name, value string) {
	if k.first("mask " + name + "\n" + value) {
		k.Secret(name, value)
		if _, word, found := strings.Cut(value, " "); found {
			k.Secret(name, word)
		}
	}
}

func (k *Keyring) tell(text string) {
	if k.first(text) {
		k.Info(text)
	}
}

func (k *Keyring) warn(text string) {
	if k.first(text) {
		k.Warn(text)
	}
}

// first tells whether something is said for the first time.
func (k *Keyring) first(text string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.said[text] {
		return false
	}
	if k.said == nil {
		k.said = map[string]bool{}
	}
	k.said[text] = true
	return true
}

// OwnNetrc is the caller's own netrc, as curl finds it: that which NETRC names, or
// .netrc in the home directory; "" = there is no place for one.
func OwnNetrc(lookup func(name string) (string, bool)) string {
	name, _ := lookup("NETRC")
	if name == "" {
		home, _ := lookup("HOME")
		if home == "" {
			return ""
		}
		name = home + "/.netrc"
	}
	if name == os.DevNull {
		return ""
	}
	return name
}
