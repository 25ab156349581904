package testparts

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// What a Guarded server wants to be told.
const (
	GuardedToken    = "Bearer token-of-the-host"
	GuardedUser     = "deploy"
	GuardedPassword = "word-of-the-host"
)

// guarded is a handler that serves a directory to who may have it, and takes PUT:
//
//	/token/NAME    with GuardedToken as Authorization
//	/team/NAME     with "web" as X-Team, beside the token
//	/user/NAME     with GuardedUser and GuardedPassword
//	/cert/NAME     with a client certificate
//	/open/NAME     with nothing
//	/away/NAME     leads to /open/NAME of the other server
//	/back/NAME     leads to /token/NAME of this one
//
// Every request becomes a line of the file requests: path, Authorization, X-Team
// and the name in the client certificate, each "-" where there is none.
type guarded struct{ dir, requests, away string }

// ServeHTTP answers as the type's comment says.
func (g guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head, name := filepath.Split(r.URL.Path)
	kind := strings.Trim(head, "/")
	cert := ""
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		cert = r.TLS.PeerCertificates[0].Subject.CommonName
	}
	token, team := r.Header.Get("Authorization"), r.Header.Get("X-Team")
	g.note(r.URL.Path, token, team, cert)
	user, password, _ := r.BasicAuth()
	may := map[string]bool{
		"token": token == GuardedToken, "team": token == GuardedToken && team == "web", "open": true,
		"user": user == GuardedUser && password == GuardedPassword, "cert": cert != "",
	}
	switch {
	case kind == "away":
		http.Redirect(w, r, g.away+"/open/"+name, http.StatusFound)
	case kind == "back":
		http.Redirect(w, r, "/token/"+name, http.StatusFound)
	case !may[kind]:
		http.Error(w, "who are you?", http.StatusUnauthorized)
	case r.Method == http.MethodPut:
		w.WriteHeader(receive(filepath.Join(g.dir, name), r.Body))
	default:
		http.ServeFile(w, r, filepath.Join(g.dir, name))
	}
}

func (g guarded) note(what ...string) {
	for i := range what {
		if what[i] == "" {
			what[i] = "-"
		}
	}
	if f, err := os.OpenFile(g.requests, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644); err == nil {
		fmt.Fprintln(f, strings.Join(what, " "))
		_ = f.Close()
	}
}

// ServeGuarded starts two servers of the files of dir that want to know who asks:
// url, and other, to which it sends people away. Both speak https. What a client
// needs is put into the directory keys: ca.pem, client.pem and client.key. Requests
// are noted in the file requests, those to other in requests-other.
func ServeGuarded(dir, keys, requests string) (url, other string, stop func(), err error) {
	far := httptest.NewUnstartedServer(guarded{dir: dir, requests: requests + "-other"})
	far.Config.ErrorLog = log.New(io.Discard, "", 0) // of who does not trust its certificate
	far.StartTLS()
	srv := httptest.NewUnstartedServer(guarded{dir: dir, requests: requests, away: far.URL})
	srv.Config.ErrorLog = far.Config.ErrorLog
	clients := x509.NewCertPool()
	if err = makeClient(keys, clients); err == nil {
		srv.TLS = &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: clients}
		srv.EnableHTTP2 = true
		srv.StartTLS()
		err = writePEM(filepath.Join(keys, "ca.pem"), "CERTIFICATE", srv.Certificate().Raw)
	}
	stop = func() {
		srv.CloseClientConnections()
		srv.Close()
		far.Close()
	}
	return srv.URL, far.URL, stop, err
}

// makeClient makes the certificate of a client, which vouches for itself, and its
// key.
func makeClient(dir string, pool *x509.CertPool) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client-of-the-host"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		return err
	}
	pool.AddCert(cert)
	if err := writePEM(filepath.Join(dir, "client.key"), "PRIVATE KEY", private); err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, "client.pem"), "CERTIFICATE", raw)
}

func writePEM(name, kind string, raw []byte) error {
	return os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), 0o600)
}
