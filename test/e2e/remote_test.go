package e2e

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

func TestE2EAzure(t *testing.T) {
	t.Parallel()
	testparts.Need(t, "rsync")
	az := testparts.Azure(t)
	m := newMachine(t)
	app := pack(t, map[string]string{"file": "hello"})
	at := "az://" + az.Account + "/deploys/web/"
	az.Put(t, "deploys", "web/app+1 é.tgz", app)
	az.Put(t, "deploys", "web/app.yml", []byte(m.manifest(`"`+at+`app+1 é.tgz"`, app)))
	url := at + "app.yml"
	m.run(az.Env(), url).wants(0, `fetched "az://devstoreaccount1/deploys/web/app\+1`, `deployed "dest"`).lacks(az.Key)
	m.has(map[string]string{"file": "hello"})
	const hint = "set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT"
	for _, c := range []bucketCase{
		{name: "no container", url: "az://devstoreaccount1/nowhere/app.yml",
			message: `manifest: get "az://devstoreaccount1/nowhere/app.yml": 404 ContainerNotFound`},
		{name: "no blob", url: at + "none.yml", message: `manifest: get "` + at + `none.yml": 404 BlobNotFound`},
		{name: "no credentials", url: url, hint: hint,
			env:     []string{"AZURE_STORAGE_CONNECTION_STRING=", "AZURE_TOKEN_CREDENTIALS=EnvironmentCredential"},
			message: `manifest: get "` + url + `": no Azure credentials for account "devstoreaccount1"`},
		{name: "of another account", url: "az://account1/deploys/app.yml", hint: hint,
			env:     []string{"AZURE_TOKEN_CREDENTIALS=EnvironmentCredential"},
			message: `manifest: get "az://account1/deploys/app.yml": no Azure credentials for account "account1"`},
		{name: "wrong key", url: url, hint: hint, env: []string{"AZURE_STORAGE_CONNECTION_STRING=AccountName=" + az.Account +
			";AccountKey=d3Jvbmctc2VjcmV0;BlobEndpoint=" + az.Endpoint},
			message: `manifest: get "` + url + `": 403 .*`},
		{name: "no server", url: url, env: []string{"AZURE_STORAGE_CONNECTION_STRING=AccountName=" + az.Account +
			";AccountKey=d3Jvbmctc2VjcmV0;BlobEndpoint=http://127.0.0.1:1/" + az.Account},
			message: `manifest: get "` + url + `": .*connection refused`},
	} {
		c.test(t, az.Env())
	}
}

// TestE2ERegistry: what oras pushes is deployed, by the digest that it prints and by
// the tag, a file and a directory.
func TestE2ERegistry(t *testing.T) {
	t.Parallel()
	testparts.Need(t, "rsync")
	registry := testparts.OCI(t)
	m := newMachine(t)
	m.write("README", "not the archive")
	ref := registry.Host + "/team/app"
	var app []byte
	for _, by := range []string{"digest", "tag"} {
		app = pack(t, map[string]string{"file": by})
		m.write("app.tgz", string(app))
		url := "oci://" + ref + "@" + m.oras(registry, ref+":v1", "README", "app.tgz")
		if by == "tag" {
			url = "oci://" + ref + ":v1"
		}
		m.write("app.yml", m.manifest(url, app, "sync_strategy: native"))
		m.run(registry.Env(), "file://"+m.path("app.yml")).
			wants(0, `fetched "`+url+`"`, `deployed "dest"`).lacks(registry.Password)
		m.has(map[string]string{"file": by})
	}
	m.oras(registry, ref+":two", "app.tgz", "README:application/x-tar")
	for _, c := range []struct {
		name, src string
		env       []string
		message   string
	}{
		{"no repository", "oci://" + ref + "2:v1", nil, `fetch: get "oci://` + ref + `2:v1": 404 Not Found`},
		{"no tag", "oci://" + ref + ":v2", nil, `fetch: get "oci://` + ref + `:v2": 404 Not Found`},
		{"no login", "oci://" + ref + ":v1", []string{"DOCKER_CONFIG=" + m.path("home")},
			`fetch: get "oci://` + ref + `:v1": no credentials for the registry`},
		{"two archives", "oci://" + ref + ":two", nil, `fetch: get "oci://` + ref + `:two": of the 2 layers .*`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t)
			m.write("app.yml", m.manifest(c.src, app, "sync_strategy: native"))
			m.run(append(registry.Env(), c.env...), "file://"+m.path("app.yml")).fails(1, c.message)
			if _, err := os.Stat(m.dest); err == nil {
				t.Error("there is a dest")
			}
		})
	}
}

// TestE2ERemoteResume: a blob and a layer that break off are resumed where they
// ended.
func TestE2ERemoteResume(t *testing.T) {
	t.Parallel()
	files := map[string]string{"file": noise(300_000)}
	app := pack(t, files)
	az, registry := testparts.Azure(t), testparts.OCI(t)
	az.Put(t, "deploys", "blobs/app.tgz", app)
	digest := registry.Push(t, "app", "v1", testparts.Layer{MediaType: "application/x-tar", Data: app})
	login := base64.StdEncoding.EncodeToString([]byte(registry.User + ":" + registry.Password))
	for name, target := range map[string]string{
		"az": strings.TrimSuffix(az.Endpoint, "/"+az.Account), "oci": "http://" + registry.Host,
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			proxy := newBreaker(t, target, name == "az")
			proxy.cut("/blobs/", 100_000, 2)
			host := strings.TrimPrefix(proxy.URL, "http://")
			m.write("home/.docker/config.json", fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, login))
			src := "oci://" + host + "/app@" + digest
			if name == "az" {
				src = "az://" + az.Account + "/deploys/blobs/app.tgz"
			}
			m.write("app.yml", m.manifest(src, app, "sync_strategy: native"))
			env := []string{"AZURE_STORAGE_ACCOUNT=" + az.Account, "AZURE_STORAGE_KEY=" + az.Key,
				"AZURE_STORAGE_SERVICE_ENDPOINT=" + proxy.URL + "/" + az.Account}
			m.run(env, "--retry-wait", "0.01", "file://"+m.path("app.yml")).wants(0, "fetch broke off at byte").
				lacks(az.Key, registry.Password)
			m.has(files)
			got := strings.ReplaceAll(proxy.answers(), "401, ", "") // a registry is asked without a password first
			want := "200, 206 bytes=100000-, 206 bytes=200000-"
			if name == "az" { // whose ranges are in a header of its own
				want = "200, 206, 206"
			}
			if got != want {
				t.Errorf("the server was asked %q, want %q", got, want)
			}
		})
	}
}

// TestE2ERemoteDelta: of what is packed to Azure, or packed and pushed to a
// registry with its index, only what a host does not have is fetched.
func TestE2ERemoteDelta(t *testing.T) {
	t.Parallel()
	az, registry := testparts.Azure(t), testparts.OCI(t)
	az.Put(t, "releases", "any", nil) // makes the container
	for name, publish := range map[string]func(m *machine, dir, version string) (url string){
		"az": func(m *machine, dir, version string) string {
			return m.pack(az.Env(), dir, "az://"+az.Account+"/releases/app/", version)
		},
		"oci": func(m *machine, dir, version string) string {
			m.pack(nil, dir, "file://"+m.path("packed"+version)+"/", version)
			names, _ := filepath.Glob(m.path("packed" + version + "/*.tar.gz"))
			archive, _ := filepath.Rel(m.dir, names[0])
			digest := m.oras(registry, registry.Host+"/app:"+version, archive, archive+".idx")
			manifest := m.path("packed" + version + "/app-" + version + ".yml")
			text, err := os.ReadFile(manifest)
			must(t, err)
			src := regexp.MustCompile(`(?m)^src: .*$`).ReplaceAllString(string(text), "src: oci://"+registry.Host+"/app@"+digest)
			must(t, os.WriteFile(manifest, []byte(src), 0o644))
			return "file://" + manifest
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			v1, v2 := versions(t)
			env := append(az.Env(), registry.Env()...)
			m.run(env, publish(m, v1, "1")).wants(0, `fetched "`+name+`://`)
			m.run(env, publish(m, v2, "2")).wants(0, `fetched \d+ of \d+ bytes \(.* ranges? of "`+name+`://`)
			equal(t, m.dest+"/.", v2+"/.")
		})
	}
}

// pack packs a directory to a place, and gives the manifest's URL.
func (m *machine) pack(env []string, dir, to, version string) (url string) {
	m.t.Helper()
	m.write("template.yml", "sync_strategy: native\n")
	must(m.t, os.MkdirAll(m.path("packed"+version), 0o755))
	d := m.run(env, "pack", dir, "--to", to, "--owners", "--name", "app", "--version", version, "--dest", m.dest,
		"--manifest", m.path("template.yml")).wants(0)
	return strings.TrimSpace(d.stdout.String())
}

// oras pushes files, and gives the digest that it prints.
func (m *machine) oras(to testparts.Registry, ref string, files ...string) (digest string) {
	m.t.Helper()
	args := append([]string{"push", "--plain-http", "--no-tty", ref}, files...)
	cmd := exec.Command(testparts.Need(m.t, "oras"), args...)
	cmd.Dir, cmd.Env = m.dir, append(os.Environ(), to.Env()...)
	out, err := cmd.CombinedOutput()
	found := regexp.MustCompile(`(?m)^Digest: (sha256:[0-9a-f]{64})\r?$`).FindStringSubmatch(string(out))
	if err != nil || found == nil {
		m.t.Fatalf("oras: %v\n%s", err, out)
	}
	return found[1]
}
