package oci

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/storetest"
	"stretcher/internal/testparts"
)

// TestConformance: a tag is an object that can be replaced.
func TestConformance(t *testing.T) {
	srv := testparts.OCI(t)
	testparts.Setenv(t, srv.Env())
	storetest.Run(t, storetest.World{Set: newSet(), Keeps: true, Put: func(t *testing.T, name string, data []byte) string {
		if !regexp.MustCompile(`^[a-z-]+$`).MatchString(name) { // no repository has such a name
			name = fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
		}
		srv.Push(t, "team/"+name, "v1", testparts.Layer{MediaType: "application/vnd.oci.image.layer.v1.tar", Data: data})
		return "oci://" + srv.Host + "/team/" + name + ":v1"
	}})
}

func newSet() *store.Set {
	return store.NewSet(store.Options{UserAgent: "Stretcher/test"}, store.Schemes{Definition()})
}

// storeLogin makes a configuration of docker's with one login, and gives its
// directory.
func storeLogin(t *testing.T, host, login string) string {
	t.Helper()
	login = base64.StdEncoding.EncodeToString([]byte(login))
	return storeText(t, fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, login))
}

func storeText(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
