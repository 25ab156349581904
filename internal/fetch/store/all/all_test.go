package all

import (
	"bytes"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/fetch/store"
)

func newSet(opts store.Options) *store.Set { return store.NewSet(opts, List()) }

func TestCheck(t *testing.T) {
	for _, c := range []struct{ url, want string }{ // want: part of the error; "" for none
		{"file:///srv/app.tar", ""},
		{"file://localhost/srv/app%20x.tar", ""},
		{"http://host/app.tar?x=1", ""},
		{"https://user:SEKRIT@host:8443/app.tar", ""},
		{"HTTP://host/app.tar", ""},
		{"http://[::1]:80/", ""},
		{"s3://bucket/dir/app.tar?versionId=1", ""},
		{"gs://bucket/app.tar", ""},
		{"s3://bucket//app.tar", ""},
		{"s3://bucket/it's", ""},
		{"s3://bucket/'quoted'", ""},
		{"s3://bucket//", "no key"},
		{"az://account1/container/dir/app.tar?versionid=1", ""},
		{"az://account1//container//app.tar", ""},
		{"az://account1/$web/app.tar", ""},
		{"oci://registry.example/app:v1.2_3-rc", ""},
		{"oci://registry.example:5000/team/sub/app@sha256:" + strings.Repeat("a1", 32), ""},
		{"oci://[::1]:5000/app:v1", ""},

		{"az://account1/container", "no key"},
		{"az://account1/container/", "no key"},
		{"az://account1", `"" is no container`},
		{"az://account1/con--tainer/key", `"con--tainer" is no container`},
		{"az://account1/Container/key", `"Container" is no container`},
		{"az:///container/key", `"" is no storage account`},
		{"az://acc.ount/container/key", "no storage account"},
		{"az://Account1/container/key", "no storage account"},
		{"az://account1:80/container/key", "no storage account"},
		{"az://a:SEKRIT@account1/container/key", "credentials"},
		{"az://account1/container/a#b", "%23"},
		{"az://account1/container/../other/key", "dot segments"},
		{"az://account1/container/%2e%2E/other/key", "dot segments"},
		{"oci://registry.example/app", "neither digest nor tag"},
		{"oci://registry.example/app:", "neither digest nor tag"},
		{"oci://registry.example/app@", "neither digest nor tag"},
		{"oci://registry.example/app:v1@sha256:" + strings.Repeat("a1", 32), "write the digest alone"},
		{"oci://registry.example/app@sha256:a1", `"sha256:a1" is no sha256 digest`},
		{"oci://registry.example/app@sha256:" + strings.Repeat("A1", 32), "no sha256 digest"},
		{"oci://registry.example/app@sha512:" + strings.Repeat("a1", 64), "no sha256 digest"},
		{"oci://registry.example/app@v1", "no sha256 digest"},
		{"oci://registry.example/app:sha256:a1", `"sha256:a1" is no tag`},
		{"oci://registry.example/app:v 1", "no repository has such a name"},
		{"oci://registry.example/App:v1", `"App" is no repository`},
		{"oci://registry.example//app:v1", `"/app" is no repository`},
		{"oci://registry.example/team/../app:v1", "no repository"},
		{"oci://registry.example/te%61m/app:v1", "no repository has such a name"},
		{"oci://registry.example/app:v1?x=SEKRIT", "nothing follows"},
		{"oci://registry.example/app:v1#x", "nothing follows"},
		{"oci://u:SEKRIT@registry.example/app:v1", "credentials"},
		{"oci:///app:v1", "no registry"},
		{"oci:app:v1", "no registry"},
		{"file://host/srv/app.tar", `host "host"`},
		{"file:app.tar", "no absolute path"},
		{"file:///", "no absolute path"},
		{"http:///app.tar", "no host"},
		{"http://:80/app.tar", "no host"},
		{"http://host:0/", `port "0"`},
		{"http://host:65536/", `port "65536"`},
		{"s3://bucket", "no key"},
		{"s3://bucket/", "no key"},
		{"s3:///key", "no bucket"},
		{"s3:bucket/key", "no bucket"},
		{"gs://bucket:80/key", "port"},
		{"gs://id:SEKRIT@bucket/key", "credentials"},
		{"s3://bucket/a#b", "%23"},
		{"ftp://u:SEKRIT@host/app.tar", `unsupported URL scheme "ftp"`},
		{"/srv/app.tar", "no URL scheme"},
		{"app.tar", "no URL scheme"},
		{"", "no URL scheme"},
		{"http://u:SEKRIT@[::1/", "malformed URL"},
		{"http://host/%zz?k=SEKRIT", "malformed URL"},
		{" file:///srv/app.tar", `URL "file:///srv/app.tar": spaces, quotes or brackets stand around it`},
		{"\"https://u:SEKRIT@host/app.tar\"", `URL "https://xxxxx@host/app.tar": spaces, quotes or brackets`},
		{"<s3://bucket/key?k=SEKRIT>", "spaces, quotes or brackets"},
		{"'file:///srv/app.tar'", "spaces, quotes or brackets"},
	} {
		err := List().Check(c.url)
		if c.want == "" {
			if err != nil {
				t.Errorf("List().Check(%q): %v", c.url, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "SEKRIT") ||
			store.Retryable(err) {
			t.Errorf("List().Check(%q): %v, want %q, permanent, without the password", c.url, err, c.want)
		}
		_, oerr := newSet(store.Options{}).Open(t.Context(), c.url, store.Position{})
		if oerr == nil || oerr.Error() != err.Error() {
			t.Errorf("Open(%q): %v, Check says %v", c.url, oerr, err)
		}
	}
}

func TestSchemeHints(t *testing.T) {
	for _, c := range []struct{ url, hint string }{
		{"ftp://host/x", "known schemes: az, consul, file, gs, http, https, oci, s3"},
		{"/srv/app.tar", "write file:///srv/app.tar"},
		{"app.tar", "file:///absolute/path"},
	} {
		err := List().Check(c.url)
		if !errors.Is(err, store.ErrScheme) || !strings.Contains(store.Hint(err), c.hint) {
			t.Errorf("List().Check(%q): %v, hint %q, want %q", c.url, err, store.Hint(err), c.hint)
		}
	}
	if got := store.Hint(errors.New("x")); got != "" {
		t.Errorf("hint of a stranger's error: %q", got)
	}
}

func FuzzCheck(f *testing.F) {
	for _, s := range []string{"file:///a", "s3://b/k", "http://u:p@h:1/x?y#z", "gs:", "//", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		err := List().Check(raw)
		var e *store.Error
		if err != nil && (!errors.As(err, &e) || e.Retryable) {
			t.Errorf("%q: %v", raw, err)
		}
		u, _ := url.Parse(raw)
		if err == nil && (u.Scheme == "s3" || u.Scheme == "gs") && (u.Host == "" || store.Key(u) == "") {
			t.Errorf("%q: bucket %q, key %q accepted", raw, u.Host, store.Key(u))
		}
	})
}

// TestConformanceOfAll: each scheme is held to the contract.
func TestConformanceOfAll(t *testing.T) {
	source, err := os.ReadFile("all.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(\w+)\.Definition\(\)`).FindAllSubmatch(source, -1)
	if len(lines) != len(List()) {
		t.Errorf("%d lines for %d stores", len(lines), len(List()))
	}
	for _, line := range lines {
		tests, _ := filepath.Glob(filepath.Join("..", string(line[1]), "*_test.go"))
		if !slices.ContainsFunc(tests, func(name string) bool {
			text, err := os.ReadFile(name)
			return err == nil && bytes.Contains(text, []byte("storetest.Run("))
		}) {
			t.Errorf("package %s has no test that calls storetest.Run", line[1])
		}
	}
}

// TestReadOnly: nothing is written to a registry, whatever the URL names there.
func TestReadOnly(t *testing.T) {
	set := newSet(store.Options{})
	for url, want := range map[string]error{
		"oci://r.example/app/manifest.yml": store.ErrReadOnly,
		"oci://r.example/app:v1":           store.ErrReadOnly,
		"az://account1/container/app.yml":  nil,
	} {
		err := set.CheckPut(url)
		if !errors.Is(err, want) || err != nil && !strings.Contains(err.Error(), "can't be written to") {
			t.Errorf("%s: %v, want %v", url, err, want)
		}
	}
	if err := set.CheckPut("az://account1/container"); err == nil || errors.Is(err, store.ErrReadOnly) {
		t.Errorf("no key: %v", err)
	}
}

// TestCheckArchive: an archive comes from no store of manifests, and no such one is
// offered.
func TestCheckArchive(t *testing.T) {
	for url, want := range map[string]string{
		"consul://apps/app.tar":     `URL "consul://apps/app.tar": manifests lie there, and no archives`,
		"consul://":                 List().Check("consul://").Error(), // what is wrong with it comes first
		"https://host/app.tar":      "",
		"oci://registry.example/a":  List().Check("oci://registry.example/a").Error(),
		"ftp://host/app.tar":        `URL "ftp://host/app.tar": unsupported URL scheme "ftp"`,
		"consul+https://h/app.tar ": List().Check("consul+https://h/app.tar ").Error(),
	} {
		got := ""
		err := List().CheckArchive(url)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
		if hint := store.Hint(err); strings.Contains(hint, "consul") {
			t.Errorf("%s: hint %q", url, hint)
		}
	}
}

// TestPutArchive: an archive goes to no store of manifests, and no such one is
// offered.
func TestPutArchive(t *testing.T) {
	set := newSet(store.Options{})
	for url, want := range map[string]error{
		"consul://apps/manifest.yml":       store.ErrSmall,
		"oci://r.example/app/manifest.yml": store.ErrReadOnly,
		"az://account1/container/app.yml":  nil,
		"file:///srv/app.yml":              nil,
	} {
		if err := set.CheckPutArchive(url); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", url, err, want)
		}
	}
	if err := set.CheckPut("consul://apps/manifest.yml"); err != nil {
		t.Errorf("a manifest: %v", err)
	}
	err := set.CheckPutArchive("ftp://host/app.yml")
	const want = "known schemes: az, file, gs, http, https, s3"
	if hint := store.Hint(err); !errors.Is(err, store.ErrScheme) || hint != want {
		t.Errorf("%v, hint %q", err, hint)
	}
}
