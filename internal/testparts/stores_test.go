package testparts

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloud.google.com/go/storage"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func get(t *testing.T, url, byteRange string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if byteRange != "" {
		req.Header.Set("Range", byteRange)
	}
	resp, err := httpClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestNginx(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := Nginx(t, dir, `location /broken { return 500 "oops"; }`)
	tests := []struct {
		path, byteRange string
		code            int
		body            string
	}{
		{"/a", "", 200, "hello"},
		{"/a", "bytes=2-", 206, "llo"},
		{"/broken", "", 500, "oops"},
	}
	for _, tt := range tests {
		if code, body := get(t, base+tt.path, tt.byteRange); code != tt.code || body != tt.body {
			t.Errorf("GET %s (%s) = %d %q, want %d %q", tt.path, tt.byteRange, code, body, tt.code, tt.body)
		}
	}
	if code, _ := get(t, base+"/none", ""); code != 404 {
		t.Errorf("GET /none = %d, want 404", code)
	}
}

// TestS3 reads as the program does: with the SDK's own idea of its environment.
func TestS3(t *testing.T) {
	s := S3(t)
	setenv(t, s.Env())
	s.Put(t, "bucket", "dir/a", []byte("first"))
	s.Put(t, "bucket", "dir/a", []byte("second"))

	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		t.Fatal(err)
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	bucket, key, byteRange := "bucket", "dir/a", "bytes=3-"
	obj, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key, Range: &byteRange})
	if err != nil {
		t.Fatal(err)
	}
	defer obj.Body.Close()
	if body, err := io.ReadAll(obj.Body); err != nil || string(body) != "ond" {
		t.Errorf("read %q, %v; want \"ond\"", body, err)
	}
	if obj.ETag == nil || !strings.HasPrefix(*obj.ETag, `"`) {
		t.Errorf("ETag = %v, want a quoted one", obj.ETag)
	}
	code, _ := get(t, s.Endpoint+"/bucket/dir/a", "")
	if code != http.StatusForbidden {
		t.Errorf("anonymous GET = %d, want 403", code)
	}
}

func TestGCS(t *testing.T) {
	s := GCS(t)
	setenv(t, s.Env())
	s.Put(t, "bucket", "dir/a b", []byte("first"))
	s.Put(t, "bucket", "dir/a b", []byte("second"))

	ctx := context.Background()
	client, err := storage.NewClient(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r, err := client.Bucket("bucket").Object("dir/a b").NewRangeReader(ctx, 3, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if body, err := io.ReadAll(r); err != nil || string(body) != "ond" {
		t.Errorf("read %q, %v; want \"ond\"", body, err)
	}
	if r.Attrs.Size != 6 || r.Attrs.Generation == 0 {
		t.Errorf("attributes %+v, want size 6 and a generation", r.Attrs)
	}
}

// TestAzure: what was put is read by a token, and not without one.
func TestAzure(t *testing.T) {
	s := Azure(t)
	s.Put(t, "container", "dir/a b", []byte("first"))
	s.Put(t, "container", "dir/a b", []byte("second"))
	at := s.Endpoint + "/container/dir/a%20b"
	token := s.SAS(t, sas.AccountPermissions{Read: true})
	if code, body := get(t, at+"?"+token, "bytes=3-"); code != http.StatusPartialContent || body != "ond" {
		t.Errorf("read %q with status %d, want \"ond\"", body, code)
	}
	if code, _ := get(t, at, ""); code != http.StatusNotFound && code != http.StatusForbidden {
		t.Errorf("anonymous GET = %d, want it refused", code)
	}
}

// TestOCI: what was pushed lies where the protocol says, for those who know the
// password.
func TestOCI(t *testing.T) {
	r := OCI(t)
	digest := r.Push(t, "team/app", "v1", Layer{"application/x-tar", "app.tar", []byte("a tree")})
	blob := fmt.Sprintf("/v2/team/app/blobs/sha256:%x", sha256.Sum256([]byte("a tree")))
	base := "http://" + r.User + ":" + r.Password + "@" + r.Host
	if code, body := get(t, base+blob, "bytes=2-"); code != http.StatusPartialContent || body != "tree" {
		t.Errorf("the layer: status %d, %q", code, body)
	}
	if code, _ := get(t, "http://"+r.Host+"/v2/team/app/manifests/"+digest, ""); code != http.StatusUnauthorized {
		t.Errorf("without a password: status %d", code)
	}
}

func setenv(t *testing.T, env []string) {
	t.Helper()
	for _, kv := range env {
		k, v, _ := strings.Cut(kv, "=")
		t.Setenv(k, v)
	}
}
