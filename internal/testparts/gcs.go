package testparts

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"testing"
)

// GCSServer is a running fake-gcs-server that keeps objects in memory.
type GCSServer struct {
	Host string // host:port, the form STORAGE_EMULATOR_HOST takes
}

// GCS starts a Google Cloud Storage server that stops with the test.
func GCS(t testing.TB) GCSServer {
	t.Helper()
	bin := Need(t, "fake-gcs-server")
	port := FreePort(t)
	host := hostPort(port)
	// The public host is what the server takes download requests for.
	p := start(t, nil, bin, "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1",
		"-port", strconv.Itoa(port), "-public-host", host, "-external-url", "http://"+host)
	p.ready(t, func() bool { return answers(host) })
	return GCSServer{Host: host}
}

// Env is the environment that leads the storage client to this server, without
// credentials.
func (s GCSServer) Env() []string {
	return []string{"STORAGE_EMULATOR_HOST=" + s.Host}
}

// Put stores an object, and makes the bucket when there is none.
// The requests are those of https://cloud.google.com/storage/docs/json_api.
func (s GCSServer) Put(t testing.TB, bucket, name string, data []byte) {
	t.Helper()
	body := []byte(`{"name":"` + bucket + `"}`)
	if code := s.post(t, "/storage/v1/b", "application/json", body); code != http.StatusOK && code != http.StatusConflict {
		t.Fatalf("create bucket %q: status %d", bucket, code)
	}
	path := "/upload/storage/v1/b/" + bucket + "/o?uploadType=media&name=" + url.QueryEscape(name)
	if code := s.post(t, path, "application/octet-stream", data); code != http.StatusOK {
		t.Fatalf("put %q in bucket %q: status %d", name, bucket, code)
	}
}

// Get reads an object.
func (s GCSServer) Get(t testing.TB, bucket, name string) []byte {
	t.Helper()
	object := "/storage/v1/b/" + bucket + "/o/" + url.PathEscape(name)
	resp, err := httpClient().Get("http://" + s.Host + object + "?alt=media")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("get %q of bucket %q: status %d, %v", name, bucket, resp.StatusCode, err)
	}
	return data
}

func (s GCSServer) post(t testing.TB, path, kind string, body []byte) int {
	t.Helper()
	resp, err := httpClient().Post("http://"+s.Host+path, kind, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}
