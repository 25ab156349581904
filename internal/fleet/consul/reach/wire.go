package reach

import (
	"io"
	"net/http"
	"strings"

	"stretcher/internal/text/printable"
)

// maxSaid is how much of an answer that is an error is told.
const maxSaid = 512

// leastSecret is how long a secret is that is looked for in what servers say.
const leastSecret = 5

// discreet is a transport that lets answers which are errors say little, and nothing of
// who asked: they come from any server or proxy, and end up in logs and results.
type discreet struct{ next http.RoundTripper }

// RoundTrip sends a request.
func (d discreet) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := d.send(req)
	if err != nil || resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusConflict { // of a transaction
		return resp, err
	}
	said, err := io.ReadAll(io.LimitReader(resp.Body, 8*maxSaid))
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(string(said))
	_, password, _ := req.BasicAuth()
	_, basic, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	for _, secret := range []string{req.Header.Get("X-Consul-Token"), basic, password} {
		if len(secret) >= leastSecret {
			text = strings.ReplaceAll(text, secret, "*****")
		}
	}
	text = printable.Cut(text, maxSaid)
	resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	return resp, nil
}

// send sends a request. By HTTP/2 a server that turns the host away may be so quick that
// the error does not say why: nothing has been sent then, and the next one does.
func (d discreet) send(req *http.Request) (resp *http.Response, err error) {
	for range 5 {
		resp, err = d.next.RoundTrip(req)
		if err == nil || req.Body != nil || !strings.Contains(err.Error(), "client conn could not be established") {
			break
		}
	}
	return resp, err
}

// stay follows no redirects: the token would go along. Consul has none.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
