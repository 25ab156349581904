package s3

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/storetest"
	"stretcher/internal/testparts"
)

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
			testparts.NoAWS(t, c.env...)
			set := newSet(store.Options{})
			defer set.Close()
			_, err := set.Open(t.Context(), "s3://bucket/key", store.Position{})
			if !errors.Is(err, store.ErrDenied) || store.Retryable(err) || store.Hint(err) != c.hint ||
				!strings.Contains(err.Error(), c.want) ||
				strings.Contains(err.Error(), "SEKRIT") {
				t.Errorf("error %v, hint %q; want store.ErrDenied, %q", err, store.Hint(err), c.want)
			}
		})
	}
}

func TestS3Region(t *testing.T) {
	testparts.NoAWS(t, "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=y")
	_, err := newSet(store.Options{}).Open(t.Context(), "s3://bucket/key", store.Position{})
	if err == nil || !strings.Contains(err.Error(), "no AWS region") || store.Hint(err) != s3RegionHint ||
		store.Retryable(err) {
		t.Errorf("error %v, hint %q; want the region missed", err, store.Hint(err))
	}
	srv := testparts.S3(t)
	srv.Put(t, "bucket", "key", []byte("x"))
	for _, region := range []string{"AWS_REGION=", "AWS_DEFAULT_REGION=us-east-1"} {
		t.Run(region, func(t *testing.T) {
			testparts.NoAWS(t, "AWS_ACCESS_KEY_ID="+srv.AccessKey, "AWS_SECRET_ACCESS_KEY="+srv.SecretKey,
				"AWS_ENDPOINT_URL_S3="+srv.Endpoint, region)
			set := newSet(store.Options{})
			defer set.Close()
			if _, got := storetest.ReadAll(t, set, "s3://bucket/key", store.Position{}); string(got) != "x" {
				t.Errorf("got %q", got)
			}
		})
	}
	_, err = newSet(store.Options{}).Open(t.Context(), "s3://bucket/none", store.Position{})
	if err == nil {
		t.Error("an object without region and endpoint")
	}
}

// TestS3LeadingSlashes: s3://bucket//key is the key that v1.x asked for.
func TestS3LeadingSlashes(t *testing.T) {
	srv := testparts.S3(t)
	srv.Put(t, "bucket", "dir/key", []byte("x"))
	testparts.NoAWS(t, srv.Env()...)
	set := newSet(store.Options{})
	defer set.Close()
	for _, url := range []string{
		"s3://bucket/dir/key", "s3://bucket//dir/key", "s3://bucket////dir/key", "s3://bucket/%2Fdir/key",
	} {
		if _, got := storetest.ReadAll(t, set, url, store.Position{}); string(got) != "x" {
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
			testparts.NoAWS(t, "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=y", "AWS_ENDPOINT_URL="+srv.URL)
			set := newSet(store.Options{})
			defer set.Close()
			obj, err := set.Asking(func(url string) error {
				if strings.HasSuffix(url, "/secret") {
					return errors.New("not allowed")
				}
				return nil
			}).Open(t.Context(), "s3://bucket/key", store.Position{})
			if err == nil {
				obj.Body.Close()
			}
			if (err == nil) != (c.fails == "") ||
				err != nil && (!strings.Contains(err.Error(), c.fails) || store.Retryable(err)) {
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
			testparts.NoAWS(t, "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=y",
				// With a name: the SDK never puts a bucket before an address.
				"AWS_ENDPOINT_URL="+strings.Replace(srv.URL, "127.0.0.1", "localhost", 1))
			set := newSet(store.Options{UserAgent: "Stretcher/9.9"})
			defer set.Close()
			_, err := set.Open(t.Context(), "s3://bucket/key", store.Position{})
			if want := `get "s3://bucket/key": ` + c.status; err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if store.Retryable(err) != c.retry || store.Hint(err) != c.hint {
				t.Errorf("retryable %v, hint %q", store.Retryable(err), store.Hint(err))
			}
			if requests != 1 || !strings.Contains(agent, "Stretcher/9.9") || path != "/bucket/key" {
				t.Errorf("%d requests for %q by %q, want one for /bucket/key by Stretcher/9.9", requests, path, agent)
			}
		})
	}
}
