package store

import (
	"crypto/tls"
	"net/http"
)

// Access is what a host has for one server: it goes there and nowhere else. The
// zero value is nothing.
type Access struct {
	Header http.Header // of a request, in the place of those of the same names
	TLS    *tls.Config // of its connection: one pointer, one pool of connections; nil = Options.TLS
}

// Way is how a request came to its URL.
type Way struct {
	Strange bool // a server of another origin (scheme, host, port) has led there
	User    bool // the URL that was asked for has a user, who counts there
}
