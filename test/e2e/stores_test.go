package e2e

import (
	"os"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// bucketCase is a deployment from a bucket that fails.
type bucketCase struct {
	name, url string
	env       []string // in addition, or in place of other values
	message   string   // the error line
	hint      string
}

func (c bucketCase) test(t *testing.T, env []string) {
	t.Run(c.name, func(t *testing.T) {
		m := newMachine(t)
		d := m.run(append(env, c.env...), c.url).fails(1, c.message)
		if c.hint != "" {
			d.wants(1, "hint: "+c.hint)
		}
		d.lacks("wrong-secret", "test-secret", "RequestID", "\n\n")
	})
}

// without is env less some variables.
func without(env []string, names ...string) []string {
	var out []string
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		drop := false
		for _, n := range names {
			drop = drop || n == name
		}
		if !drop {
			out = append(out, kv)
		}
	}
	return out
}

// putter stores an object in a bucket.
type putter interface {
	Put(t testing.TB, bucket, key string, data []byte)
}

// publish stores an archive of one file and its manifest, whose URL it gives.
func (m *machine) publish(to putter, scheme, content string) string {
	m.t.Helper()
	app := pack(m.t, map[string]string{"file": content})
	to.Put(m.t, "deploys", "web/app+1 é.tgz", app)
	to.Put(m.t, "deploys", "web/app.yml", []byte(m.manifest(`"`+scheme+`://deploys/web/app+1 é.tgz"`, app)))
	return scheme + "://deploys/web/app.yml"
}

func TestE2ES3(t *testing.T) {
	t.Parallel()
	testparts.Need(t, "rsync")
	s3 := testparts.S3(t)
	env := s3.Env()
	bare := without(env, "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION",
		"AWS_SHARED_CREDENTIALS_FILE")
	for name, use := range map[string]func(m *machine) []string{
		"environment": func(*machine) []string { return env },
		"s3 endpoint, credentials file": func(m *machine) []string {
			m.write("home/.aws/credentials",
				"[default]\naws_access_key_id = "+s3.AccessKey+"\naws_secret_access_key = "+s3.SecretKey+"\n")
			return append(bare, "AWS_ENDPOINT_URL_S3="+s3.Endpoint, "AWS_DEFAULT_REGION="+s3.Region)
		},
		"profile": func(m *machine) []string {
			m.write("credentials", "[deploy]\naws_access_key_id = "+s3.AccessKey+"\naws_secret_access_key = "+s3.SecretKey+"\n")
			m.write("config", "[profile deploy]\nregion = "+s3.Region+"\nendpoint_url = "+s3.Endpoint+"\n")
			return append(without(bare, "AWS_CONFIG_FILE"), "AWS_PROFILE=deploy",
				"AWS_SHARED_CREDENTIALS_FILE="+m.path("credentials"), "AWS_CONFIG_FILE="+m.path("config"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			url := m.publish(s3, "s3", name)
			m.run(use(m), url).wants(0, `fetched "s3://deploys/web/app\+1`, `deployed "dest"`).lacks(s3.SecretKey)
			m.has(map[string]string{"file": name})
		})
	}
	const hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
	for _, c := range []bucketCase{
		{name: "no bucket", url: "s3://nowhere/app.yml",
			message: `manifest: get "s3://nowhere/app.yml": 404 NoSuchBucket: .+`},
		{name: "no key", url: "s3://deploys/web/none.yml",
			message: `manifest: get "s3://deploys/web/none.yml": 404 NoSuchKey: .+`},
		{name: "wrong secret", url: "s3://deploys/web/app.yml", env: []string{"AWS_SECRET_ACCESS_KEY=wrong-secret"},
			message: `manifest: get "s3://deploys/web/app.yml": 403 SignatureDoesNotMatch: .+`, hint: hint},
		{name: "wrong key id", url: "s3://deploys/web/app.yml", env: []string{"AWS_ACCESS_KEY_ID=nobody"},
			// versitygw's own words; AWS says 403 InvalidAccessKeyId.
			message: `manifest: get "s3://deploys/web/app.yml": 404 XAdminUserNotFound: No user exists .+`},
		{name: "no credentials", url: "s3://deploys/web/app.yml",
			env:     []string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="},
			message: `manifest: get "s3://deploys/web/app.yml": no AWS credentials`, hint: hint},
		// It shows that AWS_DEFAULT_REGION is heeded: the server wants its own.
		{name: "wrong region", url: "s3://deploys/web/app.yml", env: []string{"AWS_REGION=", "AWS_DEFAULT_REGION=eu-west-1"},
			message: `manifest: get "s3://deploys/web/app.yml": 400 AuthorizationHeaderMalformed: .+`, hint: "set AWS_REGION"},
		{name: "no server", url: "s3://deploys/web/app.yml", env: []string{"AWS_ENDPOINT_URL=http://127.0.0.1:1"},
			message: `manifest: get "s3://deploys/web/app.yml": .*connection refused`},
	} {
		c.test(t, env)
	}
}

func TestE2EGCS(t *testing.T) {
	t.Parallel()
	testparts.Need(t, "rsync")
	gcs := testparts.GCS(t)
	m := newMachine(t)
	url := m.publish(gcs, "gs", "hello")
	m.run(gcs.Env(), url).wants(0, `fetched "gs://deploys/web/app\+1`, `deployed "dest"`)
	m.has(map[string]string{"file": "hello"})
	for _, c := range []bucketCase{
		{name: "no bucket", url: "gs://nowhere/app.yml", message: `manifest: get "gs://nowhere/app.yml": 404 Not Found`},
		{name: "no object", url: "gs://deploys/none.yml", message: `manifest: get "gs://deploys/none.yml": 404 Not Found`},
		{name: "no credentials", url: url,
			env:     []string{"STORAGE_EMULATOR_HOST=", "GOOGLE_APPLICATION_CREDENTIALS=/no/such.json"},
			message: `manifest: get "` + url + `": no Google Cloud credentials: .*no such file.*`,
			hint:    "set GOOGLE_APPLICATION_CREDENTIALS"},
		{name: "no server", url: url, env: []string{"STORAGE_EMULATOR_HOST=127.0.0.1:1"},
			message: `manifest: get "` + url + `": .*connection refused`},
	} {
		c.test(t, gcs.Env())
	}
}

// TestE2EArchiveMissing: a manifest whose archive isn't there leaves dest as
// it was, and runs the failure commands.
func TestE2EArchiveMissing(t *testing.T) {
	t.Parallel()
	s3, gcs := testparts.S3(t), testparts.GCS(t)
	for scheme, to := range map[string]putter{"s3": s3, "gs": gcs} {
		t.Run(scheme, func(t *testing.T) {
			m := newMachine(t)
			m.write("dest/file", "old")
			to.Put(t, "deploys", "app.yml",
				[]byte(m.manifest(scheme+"://deploys/none.tgz", nil, "commands: {failure: ['cat > failed']}")))
			m.run(append(s3.Env(), gcs.Env()...), scheme+"://deploys/app.yml").
				fails(1, `fetch: get "`+scheme+`://deploys/none.tgz": 404 .+`)
			m.has(map[string]string{"file": "old"})
			if !strings.Contains(m.read("failed"), "none.tgz") {
				t.Errorf("the failure command got %q, want the log", m.read("failed"))
			}
		})
	}
}

// TestE2EResume: a body that breaks off is resumed where it ended, whatever
// the store.
func TestE2EResume(t *testing.T) {
	t.Parallel()
	testparts.Need(t, "rsync")
	files := map[string]string{"file": noise(300_000)}
	app := pack(t, files)
	web := t.TempDir()
	s3, gcs := testparts.S3(t), testparts.GCS(t)
	s3.Put(t, "deploys", "app.tgz", app)
	gcs.Put(t, "deploys", "app.tgz", app)
	if err := os.WriteFile(web+"/app.tgz", app, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, target, src string
		keepHost          bool
		env               func(proxy string) []string
	}{
		{"s3", s3.Endpoint, "s3://deploys/app.tgz", true,
			func(p string) []string { return append(s3.Env(), "AWS_ENDPOINT_URL="+p) }},
		{"gcs", "http://" + gcs.Host, "gs://deploys/app.tgz", false, func(p string) []string {
			return []string{"STORAGE_EMULATOR_HOST=" + strings.TrimPrefix(p, "http://")}
		}},
		{"nginx", testparts.Nginx(t, web, ""), "PROXY/app.tgz", false, func(string) []string { return nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			proxy := newBreaker(t, tt.target, tt.keepHost)
			proxy.cut("app.tgz", 100_000, 2)
			m := newMachine(t)
			m.write("app.yml", m.manifest(strings.Replace(tt.src, "PROXY", proxy.URL, 1), app))
			d := m.run(tt.env(proxy.URL), "--retry-wait", "0.01", "file://"+m.path("app.yml")).wants(0,
				"fetch broke off at byte")
			if n := strings.Count(d.stderr.String(), "fetch broke off"); n != 2 {
				t.Errorf("%d lines about broken fetches, want 2:\n%s", n, d.stderr.String())
			}
			m.has(files)
			if got, want := statuses(proxy.answers()), "200, 206 bytes=100000-, 206 bytes=200000-"; got != want {
				t.Errorf("the server was asked %q, want %q", got, want)
			}
		})
	}
}

// statuses gives a first answer to "Range: bytes=0-" the form of one without.
func statuses(answers string) string {
	return strings.Replace(answers, "206 bytes=0-", "200", 1)
}
