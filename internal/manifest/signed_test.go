package manifest

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
	"stretcher/internal/trust"
)

// keyring are two keys that are trusted, and what signs by them.
type keyring struct {
	keys    *trust.Keys
	secrets []*trust.Secret
}

func newKeyring(t *testing.T) keyring {
	t.Helper()
	k := keyring{}
	dir := t.TempDir()
	for _, name := range []string{"a.pub", "b.pub"} {
		secret, err := trust.GenerateSecret()
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), secret.PublicFile(), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		k.secrets = append(k.secrets, secret)
	}
	keys, err := trust.LoadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	k.keys = keys
	return k
}

// sign is the signature document of a manifest by the first n keys.
func (k keyring) sign(t *testing.T, doc string, n int) (document string) {
	t.Helper()
	for _, secret := range k.secrets[:n] {
		text, err := secret.Sign(strings.NewReader(doc), "comment", []byte(document))
		if err != nil {
			t.Fatal(err)
		}
		document = string(text)
	}
	return document
}

// signing makes a loader one whose manifests must be signed.
func (k keyring) signing(l *Loader, threshold int) *Loader {
	l.Keys, l.Threshold, l.Signature = k.keys, threshold, l.Fetch
	return l
}

const signedDoc = "name: app\nserial: 3\nexpires: 2126-12-01T00:00:00Z\n"

// TestSigned: the signature is asked of the same place, and nothing is read of
// what nobody vouches for.
func TestSigned(t *testing.T) {
	k := newKeyring(t)
	good := k.sign(t, signedDoc, 1)
	for _, tc := range []struct {
		name      string
		served    served
		allow     []string
		threshold int
		requests  []string
		err       string // "" = it is accepted
	}{
		{name: "signed", served: served{"https://a/m.yml": signedDoc, "https://a/m.yml.minisig": good},
			requests: []string{"https://a/m.yml", "https://a/m.yml.minisig"}},
		{name: "the one that is allowed", served: served{"https://a/m.yml": signedDoc, "https://a/m.yml.minisig": good},
			allow: []string{"https://a/m.yml"}, requests: []string{"https://a/m.yml", "https://a/m.yml.minisig"}},
		{name: "by both", threshold: 2, requests: []string{"https://a/m.yml", "https://a/m.yml.minisig"},
			served: served{"https://a/m.yml": signedDoc, "https://a/m.yml.minisig": k.sign(t, signedDoc, 2)}},
		{name: "by too few", threshold: 2, requests: []string{"https://a/m.yml", "https://a/m.yml.minisig"},
			served: served{"https://a/m.yml": signedDoc, "https://a/m.yml.minisig": good},
			err:    "signed by 1 trusted keys, 2 needed"},
		{name: "not signed", served: served{"https://a/m.yml": signedDoc}, err: "no such object",
			requests: []string{"https://a/m.yml", "https://a/m.yml.minisig"}},
		{name: "no YAML", served: served{"https://a/m.yml": "{", "https://a/m.yml.minisig": good}, err: "does not hold",
			requests: []string{"https://a/m.yml", "https://a/m.yml.minisig"}},
		{name: "too large", requests: []string{"https://a/m.yml", "https://a/m.yml.minisig"}, err: "too large",
			served: served{"https://a/m.yml": signedDoc,
				"https://a/m.yml.minisig": strings.Repeat("x", trust.MaxSignatures+1)}},
		{name: "elsewhere", served: served{"https://a/m.yml": signedDoc,
			"https://a/m.yml.minisig": "-> https://b/m.yml.minisig", "https://b/m.yml.minisig": good},
			allow: []string{"https://a/"}, err: `"https://b/m.yml" is not allowed`,
			requests: []string{"https://a/m.yml", "https://a/m.yml.minisig"}},
		{name: "by http", served: served{"https://a/m.yml": signedDoc,
			"https://a/m.yml.minisig": "-> http://a/m.yml.minisig", "http://a/m.yml.minisig": good}, err: "is not https",
			requests: []string{"https://a/m.yml", "https://a/m.yml.minisig"}},
	} {
		l, requests, warnings, _ := loader(tc.served, allowing(t, "manifests", tc.allow), nil)
		loaded, err := k.signing(l, max(1, tc.threshold)).Load(t.Context(), "https://a/m.yml")
		if !slices.Equal(*requests, tc.requests) {
			t.Errorf("%s: requests %q", tc.name, *requests)
		}
		if tc.err != "" {
			if err == nil || loaded != nil || !strings.Contains(err.Error(), tc.err) || len(*warnings) > 0 {
				t.Errorf("%s: %v", tc.name, err)
			}
			continue
		}
		if err != nil || loaded.Name != "app" || string(loaded.Raw) != signedDoc || loaded.Signers[0].File != "a.pub" ||
			string(loaded.Signature) != tc.served["https://a/m.yml.minisig"] {
			t.Errorf("%s: %+v, %v", tc.name, loaded, err)
		}
	}
}

// TestUnsignable: where there can be no signature, nothing is asked for, and its
// event is used up.
func TestUnsignable(t *testing.T) {
	for _, url := range []string{"https://a/", "https://a", "s3://b/"} {
		l, requests, _, _ := loader(served{url: signedDoc}, &policy.Policy{}, nil)
		_, err := newKeyring(t).signing(l, 1).Load(t.Context(), url)
		if _, unfetched := errors.AsType[*Unfetched](err); err == nil || unfetched || len(*requests) > 0 {
			t.Errorf("%q: requests %q, %v", url, *requests, err)
		}
	}
}

// TestSignedKept: what is kept is accepted by the same keys, and by no others.
func TestSignedKept(t *testing.T) {
	k := newKeyring(t)
	signature := []byte(k.sign(t, signedDoc, 1))
	l, _, _, _ := loader(nil, &policy.Policy{}, nil)
	k.signing(l, 1)
	if loaded, err := l.Parse([]byte(signedDoc), signature, "s3://b/k", ""); err != nil || loaded.Name != "app" {
		t.Errorf("%+v, %v", loaded, err)
	}
	l.Keys = newKeyring(t).keys
	for name, kept := range map[string][]byte{"other keys": signature, "none": nil} {
		loaded, err := l.Parse([]byte(signedDoc), kept, "s3://b/k", "")
		if loaded != nil || !errors.Is(err, failure.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Without keys nobody asks, and nothing is taken for a signature.
	l.Keys = nil
	if loaded, err := l.Parse([]byte(signedDoc), signature, "s3://b/k", ""); err != nil || loaded.Signature != nil {
		t.Errorf("%+v, %v", loaded, err)
	}
}

// TestSignedWithoutKeys: a loader that was given no keys lets nothing in where the
// host policy wants signatures.
func TestSignedWithoutKeys(t *testing.T) {
	host, err := policy.Parse("policy.yml", []byte("trust: {keys: /etc/keys}"))
	if err != nil {
		t.Fatal(err)
	}
	l, _, _, _ := loader(served{"https://a/m.yml": signedDoc}, host, nil)
	loaded, err := l.Load(t.Context(), "https://a/m.yml")
	if loaded != nil || !errors.Is(err, failure.ErrRefused) {
		t.Errorf("fetched: %v", err)
	}
	loaded, err = l.Parse([]byte(signedDoc), nil, "https://a/m.yml", "")
	if loaded != nil || !errors.Is(err, failure.ErrRefused) {
		t.Errorf("kept: %v", err)
	}
}

// TestSignedLeavesNothingOpen: what a signature does not fix is refused.
func TestSignedLeavesNothingOpen(t *testing.T) {
	k := newKeyring(t)
	src := "src: https://h/a.tar\ndest: /srv/app\nchecksum: "
	plugin := "hooks:\n  check: [{repo: https://h/p.git, ref: %}]\n"
	registry := func(url string) string { return strings.Replace(src, "https://h/a.tar", url, 1) }
	for doc, want := range map[string]string{
		signedDoc: "", signedDoc + src + sha256Hex: "",
		"serial: 3\nexpires: 2126-12-01T00:00:00Z\ndest: /srv/app":        "name: is required",
		"name: app\nexpires: 2126-12-01T00:00:00Z":                        "serial: is required",
		"name: app\nserial: 3":                                            "expires: is required",
		signedDoc + src + strings.Repeat("0", 32):                         `line 6: checksum: "md5"`,
		signedDoc + src + "sha1:" + strings.Repeat("0", 40):               `line 6: checksum: "sha1"`,
		signedDoc + registry("oci://r/app:v1") + sha256Hex:                `src: "oci://r/app:v1" is a tag`,
		signedDoc + registry("[s3://b/k, OCI://r/app:v1]") + sha256Hex:    `"oci://r/app:v1" is a tag`,
		signedDoc + registry("oci://r/app@sha256:"+sha256Hex) + sha256Hex: "",
		signedDoc + "dest: /a\nrollback: {to: '1'}":                       "",
		signedDoc + "dest: /a\nrollback: {to: previous, from: '1'}":       "",
		signedDoc + "dest: /a\nrollback: {to: previous}":                  "line 5: rollback.from: is required",
		signedDoc + strings.Replace(plugin, "%", "v1.2", 1):               `line 5: hooks.check[0].ref: "v1.2" is no commit`,
		signedDoc + strings.Replace(plugin, "%", "abcdef0", 1):            `hooks.check[0].ref: "abcdef0" is no commit`,

		signedDoc + strings.Replace(plugin, "%", `"`+strings.Repeat("0", 40)+`"`, 1): "",
	} {
		l, _, _, _ := loader(nil, &policy.Policy{}, nil)
		k.signing(l, 1)
		loaded, err := l.Parse([]byte(doc), []byte(k.sign(t, doc, 1)), "s3://b/k", "")
		if want == "" {
			if err != nil {
				t.Errorf("%q: %v", doc, err)
			}
			continue
		}
		if loaded != nil || !errors.Is(err, failure.ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", doc, err, want)
		}
		l.Keys = nil
		if _, err := l.Parse([]byte(doc), nil, "s3://b/k", ""); err != nil {
			t.Errorf("%q, not signed: %v", doc, err)
		}
	}
}

// TestSignedHasNothingBesideIt: nobody vouches for files that lie beside a signed
// manifest.
func TestSignedHasNothingBesideIt(t *testing.T) {
	k := newKeyring(t)
	doc := signedDoc + "hooks:\n  pre_pack: [{path: bin/hook}]\n"
	l, _, _, _ := loader(served{"file:///srv/m": doc, "file:///srv/m.minisig": k.sign(t, doc, 1)}, &policy.Policy{}, nil)
	if _, err := l.Load(t.Context(), "file:///srv/m"); err != nil {
		t.Error(err)
	}
	_, err := k.signing(l, 1).Load(t.Context(), "file:///srv/m")
	if err == nil || !strings.Contains(err.Error(), "hooks.pre_pack[0].path") {
		t.Error(err)
	}
}

// TestSignedBytes: what is signed are the bytes as they are, before templates are
// filled in and whatever YAML makes of them.
func TestSignedBytes(t *testing.T) {
	k := newKeyring(t)
	doc := signedDoc + "version: '{{ env \"V\" \"1\" }}'\n"
	signature := []byte(k.sign(t, doc, 1))
	l, _, _, _ := loader(nil, &policy.Policy{}, map[string]string{"V": "2"})
	k.signing(l, 1)
	if loaded, err := l.Parse([]byte(doc), signature, "s3://b/k", ""); err != nil || loaded.Version != "2" {
		t.Errorf("%+v, %v", loaded, err)
	}
	for i := range doc {
		flipped := []byte(doc)
		flipped[i] ^= 1 << (i % 8)
		if loaded, err := l.Parse(flipped, signature, "s3://b/k", ""); loaded != nil || !errors.Is(err, failure.ErrRefused) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	for _, other := range [][]byte{nil, []byte(doc + "\n"), []byte(doc[:len(doc)-1]), bytes.ToUpper([]byte(doc))} {
		if loaded, err := l.Parse(other, signature, "s3://b/k", ""); loaded != nil || !errors.Is(err, failure.ErrRefused) {
			t.Errorf("%q: %v", other, err)
		}
	}
}

// TestSignedIsWrittenOut: who sets the environment of a host does not say which
// manifest is the newer one, nor which archive a signed one names.
func TestSignedIsWrittenOut(t *testing.T) {
	k := newKeyring(t)
	src := "src: https://h/{{ env \"X\" \"a\" }}.tar\ndest: /srv/app\n"
	for doc, want := range map[string]string{
		signedDoc + src + "checksum: " + sha256Hex + "\nversion: {{ env \"X\" \"1\" }}":             "",
		strings.Replace(signedDoc, "3", "{{ env \"N\" \"3\" }}", 1):                                 "line 2: serial: ",
		strings.Replace(signedDoc, "3", "3{{ env \"X\" }}", 1):                                      "line 2: serial: ",
		strings.Replace(signedDoc, "2126", "{{- env \"X\" \"2126\" -}}", 1):                         "line 3: expires: ",
		strings.Replace(signedDoc, "app", "'a{{ env \"X\" \"pp\" }}'", 1):                           "line 1: name: ",
		signedDoc + src + "checksum: " + sha256Hex + "\nindex: {{ env \"X\" `" + sha256Hex + "` }}": "line 7: index: ",
		signedDoc + src + "checksum: {{ env \"X\" `" + sha256Hex + "` }}":                           "line 6: checksum: ",
		signedDoc + "rollout: {service: web, parallel: '{{ env \"X\" \"1\" }}'}":                    "line 4: rollout: ",
		signedDoc + "dest: /srv/app\nrollback: {to: '{{ env \"X\" \"1\" }}'}":                       "line 5: rollback.to: ",
		"x-n: &n {{ env \"X\" \"3\" }}\n" + strings.Replace(signedDoc, "3", "*n", 1):                "serial: ",
		"x-n: &n {serial: {{ env \"X\" \"3\" }}}\n<<: *n\n" +
			strings.Replace(signedDoc, "serial: 3\n", "", 1): "serial: ",
		signedDoc + "hooks:\n  a:\n  - {run: x}\n  - {repo: 'https://{{ env \"X\" \"h\" }}/p.git', ref: {{ env \"X\" \"" +
			strings.Repeat("a", 40) + "\" }}}": "line 7: hooks.a[1].ref: ",
	} {
		l, _, _, _ := loader(nil, &policy.Policy{}, nil)
		k.signing(l, 1)
		loaded, err := l.Parse([]byte(doc), []byte(k.sign(t, doc, 1)), "s3://b/k", "")
		if want == "" && err != nil || want != "" && (loaded != nil || !errors.Is(err, failure.ErrRefused) ||
			!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "must be written out")) {
			t.Errorf("%q: %v, want %q", doc, err, want)
		}
		l.Keys = nil
		if _, err := l.Parse([]byte(doc), nil, "s3://b/k", ""); err != nil {
			t.Errorf("%q, not signed: %v", doc, err)
		}
	}
}
