package store

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// noAWS takes every source of credentials and regions away, save what env gives.
func noAWS(t *testing.T, env ...string) {
	t.Helper()
	for _, k := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
		"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"} {
		t.Setenv(k, "")
	}
	setenv(t, []string{"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"AWS_EC2_METADATA_DISABLED=true"})
	setenv(t, env)
}

func TestS3Denied(t *testing.T) {
	srv := testparts.S3(t)
	srv.Put(t, "bucket", "key", []byte("x"))
	for _, c := range []struct {
		name string
		env  []string
		want string
		hint string
	}{
		{"wrong key", append(srv.Env(), "AWS_SECRET_ACCESS_KEY=SEKRIT"), "403 SignatureDoesNotMatch", s3Hint},
		{"no key", []string{"AWS_REGION=us-east-1", "AWS_ENDPOINT_URL=" + srv.Endpoint}, "no AWS credentials", s3Hint},
		{"no key, metadata unreachable", []string{"AWS_REGION=us-east-1", "AWS_ENDPOINT_URL=" + srv.Endpoint,
			"AWS_EC2_METADATA_DISABLED=false", "AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1"},
			"no AWS credentials", s3Hint},
	} {
		t.Run(c.name, func(t *testing.T) {
			noAWS(t, c.env...)
			set := NewSet(Options{})
			defer set.Close()
			_, err := set.Open(t.Context(), "s3://bucket/key", Position{})
			if !errors.Is(err, ErrDenied) || Retryable(err) || Hint(err) != c.hint || !strings.Contains(err.Error(), c.want) ||
				strings.Contains(err.Error(), "SEKRIT") {
				t.Errorf("error %v, hint %q; want ErrDenied, %q", err, Hint(err), c.want)
			}
		})
	}
}

func TestS3Region(t *testing.T) {
	noAWS(t, "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=y")
	_, err := NewSet(Options{}).Open(t.Context(), "s3://bucket/key", Position{})
	if err == nil || !strings.Contains(err.Error(), "no AWS region") || Hint(err) != s3RegionHint || Retryable(err) {
		t.Errorf("error %v, hint %q; want the region missed", err, Hint(err))
	}
	srv := testparts.S3(t)
	srv.Put(t, "bucket", "key", []byte("x"))
	for _, region := range []string{"AWS_REGION=", "AWS_DEFAULT_REGION=us-east-1"} {
		t.Run(region, func(t *testing.T) {
			noAWS(t, "AWS_ACCESS_KEY_ID="+srv.AccessKey, "AWS_SECRET_ACCESS_KEY="+srv.SecretKey,
				"AWS_ENDPOINT_URL_S3="+srv.Endpoint, region)
			set := NewSet(Options{})
			defer set.Close()
			if _, got := readAll(t, set, "s3://bucket/key", Position{}); string(got) != "x" {
				t.Errorf("got %q", got)
			}
		})
	}
	_, err = NewSet(Options{}).Open(t.Context(), "s3://bucket/none", Position{})
	if err == nil {
		t.Error("an object without region and endpoint")
	}
}

// TestS3LeadingSlashes: s3://bucket//key is the key that v1.x asked for.
func TestS3LeadingSlashes(t *testing.T) {
	srv := testparts.S3(t)
	srv.Put(t, "bucket", "dir/key", []byte("x"))
	noAWS(t, srv.Env()...)
	set := NewSet(Options{})
	defer set.Close()
	for _, url := range []string{
		"s3://bucket/dir/key", "s3://bucket//dir/key", "s3://bucket////dir/key", "s3://bucket/%2Fdir/key",
	} {
		if _, got := readAll(t, set, url, Position{}); string(got) != "x" {
			t.Errorf("%s: got %q", url, got)
		}
	}
}

// TestS3TemporaryRedirect: a server that has a new bucket asked elsewhere is
// followed within the bucket, with a signature for where that is.
func TestS3TemporaryRedirect(t *testing.T) {
	for _, c := range []struct {
		name, location string
		asked          []string // by their paths
		fails          string
	}{
		{"another key", "/bucket/plain?rk=e2c6", []string{"/bucket/key", "/bucket/plain"}, ""},
		{"the same key", "/bucket/key?rk=e2c6", []string{"/bucket/key", "/bucket/key"}, ""},
		{"twice", "/bucket/again", []string{"/bucket/key", "/bucket/again", "/bucket/plain"}, ""},
		{"for ever", "/bucket/loop", append([]string{"/bucket/key"}, slices.Repeat([]string{"/bucket/loop"}, 10)...),
			"10 redirects"},
		{"another bucket", "/other/key", []string{"/bucket/key"}, "not known to be of bucket"},
		{"a longer name", "/bucket2/key", []string{"/bucket/key"}, "not known to be of bucket"},
		{"another server", "http://bucket.s3-x.amazonaws.com/key", []string{"/bucket/key"}, "not known to be of bucket"},
		{"nowhere", "", []string{"/bucket/key"}, "307 TemporaryRedirect"},
		{"what is not allowed", "/bucket/secret", []string{"/bucket/key"}, "not allowed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked []string
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.URL.Path)
				if !strings.Contains(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256") {
					t.Errorf("%s is not signed", r.URL)
				}
				switch {
				case r.URL.Path == "/bucket/plain" || r.URL.Query().Get("rk") != "":
					w.Write([]byte("x"))
					return
				case r.URL.Path == "/bucket/again":
					w.Header().Set("Location", "/bucket/plain")
				case c.location != "":
					w.Header().Set("Location", c.location)
				}
				w.WriteHeader(http.StatusTemporaryRedirect)
				w.Write([]byte("<Error><Code>TemporaryRedirect</Code><Message>Please re-send</Message></Error>"))
			}))
			defer srv.Close()
			noAWS(t, "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=y", "AWS_ENDPOINT_URL="+srv.URL)
			set := NewSet(Options{})
			defer set.Close()
			obj, err := set.Asking(func(url string) error {
				if strings.HasSuffix(url, "/secret") {
					return errors.New("not allowed")
				}
				return nil
			}).Open(t.Context(), "s3://bucket/key", Position{})
			if err == nil {
				obj.Body.Close()
			}
			if (err == nil) != (c.fails == "") ||
				err != nil && (!strings.Contains(err.Error(), c.fails) || Retryable(err)) {
				t.Errorf("%v, not %q", err, c.fails)
			}
			if !slices.Equal(asked, c.asked) {
				t.Errorf("asked for %q, not %q", asked, c.asked)
			}
		})
	}
}

// TestSameBucket knows the hosts of S3 from those of others in the same domain.
func TestSameBucket(t *testing.T) {
	const (
		virtual   = "https://bkt.s3.eu-west-3.amazonaws.com/a/key"
		pathStyle = "https://s3.eu-west-3.amazonaws.com/bkt/a/key"
		own       = "http://s3.example:9000/bkt/a/key"
	)
	for _, c := range []struct{ from, to, object string }{
		{virtual, "https://bkt.s3-gztb4pa9sq.amazonaws.com/a/key?rk=1", "s3://bkt/a/key"},
		{virtual, "https://BKT.S3.amazonaws.com/b", "s3://bkt/b"},
		{virtual, "https://s3.us-east-1.amazonaws.com/bkt/a/key", "s3://bkt/a/key"},
		{pathStyle, "https://bkt.s3.dualstack.eu-west-3.amazonaws.com/a/key", "s3://bkt/a/key"},
		{"https://bkt.s3.cn-north-1.amazonaws.com.cn/k", "https://bkt.s3-x.cn-north-1.amazonaws.com.cn/k", "s3://bkt/k"},
		{own, "http://s3.example:9000/bkt/b", "s3://bkt/b"},
		{own, "http://bkt.s3.example:9000/b", "s3://bkt/b"},
		{virtual, "http://bkt.s3-gztb4pa9sq.amazonaws.com/a/key", ""},
		{virtual, "https://other.s3.amazonaws.com/a/key", ""},
		{virtual, "https://s3.amazonaws.com/other/a/key", ""},
		{virtual, "https://bkt.s3-x.eu-west-3.elb.amazonaws.com/a/key", ""},
		{virtual, "https://bkt.evil.amazonaws.com/a/key", ""},
		{virtual, "https://bkt.s3.amazonaws.com.evil.example/a/key", ""},
		{virtual, "https://bkt.s3-evil.com/a/key", ""},
		{virtual, "https://u:p@bkt.s3.amazonaws.com/a/key", ""},
		{own, "http://s3.example:9001/bkt/b", ""},
		{own, "https://bkt.s3.amazonaws.com/b", ""},
		{own, "http://169.254.169.254/bkt/b", ""},
		{own, "http://s3.example:9000/bkt/", ""},
	} {
		from, err := url.Parse(c.from)
		if err != nil {
			t.Fatal(err)
		}
		to, err := url.Parse(c.to)
		if err != nil {
			t.Fatal(err)
		}
		if object, ok := sameBucket(from, to, "bkt"); ok != (c.object != "") || ok && object != c.object {
			t.Errorf("%s -> %s: %q, %v, not %q", c.from, c.to, object, ok, c.object)
		}
	}
}

// TestS3Answers has a server say what versitygw can't be made to say.
func TestS3Answers(t *testing.T) {
	const doc = "<Error><Code>%CODE%</Code><Message>words\nof the server</Message></Error>"
	for _, c := range []struct {
		code, status string
		http         int
		retry        bool
		hint         string
	}{
		{"SlowDown", "503 SlowDown: words of the server", 503, true, ""},
		{"RequestTimeout", "400 RequestTimeout: words of the server", 400, true, ""},
		{"InternalError", "500 InternalError: words of the server", 500, true, ""},
		{"PermanentRedirect", "301 PermanentRedirect: words of the server", 301, false, "set AWS_REGION to eu-west-3"},
		{"InvalidRange", "416 InvalidRange: words of the server", 416, false, ""},
		{"ExpiredToken", "400 ExpiredToken: words of the server", 400, false, s3Hint},
	} {
		t.Run(c.code, func(t *testing.T) {
			requests, agent, path := 0, "", ""
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests++
				agent, path = r.UserAgent(), r.URL.Path
				w.Header().Set("X-Amz-Bucket-Region", "eu-west-3")
				w.WriteHeader(c.http)
				w.Write([]byte(strings.Replace(doc, "%CODE%", c.code, 1)))
			}))
			defer srv.Close()
			noAWS(t, "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=y",
				// With a name: the SDK never puts a bucket before an address.
				"AWS_ENDPOINT_URL="+strings.Replace(srv.URL, "127.0.0.1", "localhost", 1))
			set := NewSet(Options{UserAgent: "Stretcher/9.9"})
			defer set.Close()
			_, err := set.Open(t.Context(), "s3://bucket/key", Position{})
			if want := `get "s3://bucket/key": ` + c.status; err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if Retryable(err) != c.retry || Hint(err) != c.hint {
				t.Errorf("retryable %v, hint %q", Retryable(err), Hint(err))
			}
			if requests != 1 || !strings.Contains(agent, "Stretcher/9.9") || path != "/bucket/key" {
				t.Errorf("%d requests for %q by %q, want one for /bucket/key by Stretcher/9.9", requests, path, agent)
			}
		})
	}
}

func TestGSWithoutCredentials(t *testing.T) {
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "none.json"))
	_, err := NewSet(Options{}).Open(t.Context(), "gs://bucket/key", Position{})
	if !errors.Is(err, ErrDenied) || Retryable(err) || Hint(err) != gsHint || !strings.Contains(err.Error(), "none.json") {
		t.Errorf("error %v, hint %q; want ErrDenied that names the file", err, Hint(err))
	}
}

// TestGSTokenRefused has a token server refuse a service account's key.
func TestGSTokenRefused(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":"invalid_grant SEKRIT"}`, http.StatusBadRequest)
	}))
	defer srv.Close()
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", serviceAccount(t, srv.URL))
	set := NewSet(Options{})
	defer set.Close()
	_, err := set.Open(t.Context(), "gs://bucket/key", Position{})
	if !errors.Is(err, ErrDenied) || Retryable(err) || Hint(err) != gsHint || strings.Contains(err.Error(), "SEKRIT") {
		t.Errorf("error %v, hint %q; want ErrDenied without the answer", err, Hint(err))
	}
}

// serviceAccount writes a key file that sends for its tokens to url.
func serviceAccount(t *testing.T, url string) string {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "x@example.com", "private_key_id": "1", "token_uri": url,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestGSAnswers has a server say what fake-gcs-server can't be made to say.
func TestGSAnswers(t *testing.T) {
	for _, c := range []struct {
		http  int
		from  Position
		retry bool
		kind  error
	}{
		{503, Position{}, true, nil},
		{429, Position{}, true, nil},
		{401, Position{}, false, ErrDenied},
		{404, Position{}, false, ErrNotFound},
		{404, Position{Offset: 1, Version: "7"}, false, ErrChanged},
		{412, Position{Offset: 1, Version: "7"}, false, ErrChanged},
		{200, Position{Offset: 1, Version: "7"}, false, ErrChanged},
	} {
		requests, agent, generation := 0, "", ""
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests++
			agent, generation = r.UserAgent(), r.URL.Query().Get("generation")
			w.WriteHeader(c.http)
		}))
		t.Setenv("STORAGE_EMULATOR_HOST", srv.Listener.Addr().String())
		set := NewSet(Options{UserAgent: "Stretcher/9.9"})
		_, err := set.Open(t.Context(), "gs://bucket/key", c.from)
		if err == nil || Retryable(err) != c.retry || c.kind != nil && !errors.Is(err, c.kind) {
			t.Errorf("%d from %v: error %v, retryable %v; want %v, %v", c.http, c.from, err, Retryable(err), c.kind, c.retry)
		}
		if requests != 1 || agent != "Stretcher/9.9" || generation != c.from.Version {
			t.Errorf("%d: %d requests by %q for generation %q", c.http, requests, agent, generation)
		}
		set.Close()
		srv.Close()
	}
}

// TestGSBreakOff holds the storage library to one request per Open.
func TestGSBreakOff(t *testing.T) {
	requests := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		w.Header().Set("Content-Length", "1000")
		w.Header().Set("X-Goog-Generation", "7")
		w.Write(make([]byte, 100))
	}))
	defer srv.Close()
	t.Setenv("STORAGE_EMULATOR_HOST", srv.Listener.Addr().String())
	set := NewSet(Options{})
	defer set.Close()
	obj := open(t, set, "gs://bucket/key", Position{})
	n := 0
	for {
		m, err := obj.Body.Read(make([]byte, 50))
		n += m
		if err != nil {
			if !Retryable(err) {
				t.Errorf("error %v is permanent", err)
			}
			break
		}
	}
	if n != 100 || requests != 1 || obj.Size != 1000 || obj.Version != "7" {
		t.Errorf("%d bytes in %d requests, size %d, version %q", n, requests, obj.Size, obj.Version)
	}
}
