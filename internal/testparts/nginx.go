package testparts

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// nginxConf is a whole configuration; nothing of the system's is read. One
// process does it all: workers would outlive a master that is killed.
const nginxConf = `daemon off;
master_process off;
pid "%[1]s/nginx.pid";
error_log stderr warn;
events { worker_connections 256; }
http {
    access_log "%[1]s/access.log";
    default_type application/octet-stream;
    client_body_temp_path "%[1]s/body";
    proxy_temp_path "%[1]s/proxy";
    fastcgi_temp_path "%[1]s/fastcgi";
    uwsgi_temp_path "%[1]s/uwsgi";
    scgi_temp_path "%[1]s/scgi";
    server {
        listen %[2]s;
        root "%[3]s";
%[4]s
    }
}
`

// Nginx serves the files of dir, with ETag and Range as nginx does it, and
// gives the base URL, without a slash at its end. serverConf is added to the
// server block: location blocks, limit_rate and the like.
func Nginx(t testing.TB, dir, serverConf string) string {
	t.Helper()
	bin := Need(t, "nginx")
	prefix, addr := t.TempDir(), hostPort(FreePort(t))
	conf := filepath.Join(prefix, "nginx.conf")
	text := fmt.Sprintf(nginxConf, prefix, addr, dir, serverConf)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p := start(t, nil, bin, "-e", "stderr", "-p", prefix, "-c", conf)
	p.ready(t, func() bool { return answers(addr) })
	return "http://" + addr
}

// httpClient talks to the local servers; it keeps no connection, so that none
// is left open when the test ends.
func httpClient() *http.Client {
	return &http.Client{
		Timeout: waitLimit,
		Transport: &http.Transport{
			DialContext:       (&net.Dialer{}).DialContext,
			DisableKeepAlives: true,
		},
	}
}
