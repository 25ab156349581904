package policy

import (
	"errors"
	"strings"
	"testing"
)

// TestRegistries: a repository is a place, and not the beginning of a name. What
// it holds is below it, by tags and by digests.
func TestRegistries(t *testing.T) {
	sum := "@sha256:" + strings.Repeat("a1", 32)
	p := parsed(t, `allow: {sources: ["oci://r.example/team/", "oci://r.example:5000/web/app",
  "oci://r.example/one:v1", "oci://r.example/two`+sum+`", "oci://docker.io/library", "oci://all.example"]}`)
	for raw, want := range map[string]bool{
		"oci://r.example/team/app:v1":            true,
		"oci://r.example/team/app" + sum:         true,
		"oci://R.example:443/team/sub/app:v1":    true,
		"oci://r.example/team:v1":                true,
		"oci://r.example/team-evil/app:v1":       false,
		"oci://r.example/teamapp:v1":             false,
		"oci://r.example:5000/team/app:v1":       false,
		"oci://r.example.evil/team/app:v1":       false,
		"oci://u:p@r.example/team/app:v1":        false,
		"oci://r.example/team/../other:v1":       false,
		"oci://r.example/team/%2e%2e/other:v1":   false,
		"oci://r.example/team/a%2fb:v1":          false,
		"oci://r.example//team/app:v1":           false,
		"oci://r.example/team/．．/app:v1":         false,
		"https://r.example/team/app":             false,
		"oci://r.example:5000/web/app:v1":        true,
		"oci://r.example:5000/web/app" + sum:     true,
		"oci://r.example:5000/web/app/sub:v1":    true,
		"oci://r.example:5000/web/app2:v1":       false,
		"oci://r.example:5000/web/app-x" + sum:   false,
		"oci://r.example/one:v1":                 true,
		"oci://r.example/one:v1.2":               false,
		"oci://r.example/one:v":                  false,
		"oci://r.example/one" + sum:              false,
		"oci://r.example/one/v1:x":               false,
		"oci://r.example/two" + sum:              true,
		"oci://r.example/two" + sum[:len(sum)-1]: false,
		"oci://r.example/two" + sum + ".idx":     true,
		"oci://r.example/two" + sum + ".id":      false,
		"oci://r.example/one:v1.idx":             true,
		"oci://r.example/two:v1":                 false,
		"oci://docker.io/library/busybox:1":      true,
		"oci://registry-1.docker.io/library/x:1": true,
		"oci://all.example/any/thing:v1":         true,
		"oci://all.example/any/thing:v1?ns=x":    true, // which nothing is fetched by
	} {
		if err := p.Source(raw); (err == nil) != want || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

// TestContainers: a container is a place below its account.
func TestContainers(t *testing.T) {
	p := parsed(t, `allow: {sources: ["az://account1/web", "az://account2/", "az://account3/web/app"]}`)
	for raw, want := range map[string]bool{
		"az://account1/web/app.tar":         true,
		"az://account1//web///app.tar":      true,
		"az://account1/web-old/app.tar":     false,
		"az://account1/web/../other/a":      false,
		"az://account1/web/%2e%2e/other/a":  false,
		"az://account1/web/a%5cb":           false,
		"az://account10/web/app.tar":        false,
		"az://ACCOUNT1/web/app.tar":         false,
		"az://account1.evil/web/app.tar":    false,
		"s3://account1/web/app.tar":         false,
		"az://account2/any/app.tar":         true,
		"az://account3/web/app/a.tar":       true,
		"az://account3/web//app/a.tar":      true,
		"az://account3/web/application.tar": false,
	} {
		if err := p.Source(raw); (err == nil) != want || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v", raw, err)
		}
	}
}
