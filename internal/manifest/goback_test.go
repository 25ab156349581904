package manifest

import (
	"fmt"
	"strings"
	"testing"

	"stretcher/internal/policy"
)

// TestTold: a URL is told as it is, or not at all, also where its secrets are hidden already.
func TestTold(t *testing.T) {
	for url, want := range map[string]string{
		"s3://b/k.yml": "s3://b/k.yml", "http://u:p@h/k.yml": "", "http://xxxxx@h/k.yml": "", "https://h/k.yml?xxxxx": "",
		"http://h/masked.yml": "",
	} {
		mask := func(s string) string { return strings.ReplaceAll(s, "masked", "[SECRET]") }
		if got := Told(url, mask); got != want {
			t.Errorf("%s: %q", url, got)
		}
	}
}

// TestGoingBack: what is made of a manifest is one that hosts take, and goes back from
// its version.
func TestGoingBack(t *testing.T) {
	const now = `name: it's
version: "2"
serial: 41
src: /a.tgz
checksum: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
dest: /srv/{{ must_env "HOST" }}
rollout: {service: web, parallel: 10%, zone: node_meta.rack}
`
	text, err := GoingBack([]byte(now), Back{Name: "it's", To: Previous})
	if err != nil {
		t.Fatal(err)
	}
	const url = "file:///m.yml"
	l, _, _, _ := loader(served{url: string(text)}, &policy.Policy{}, map[string]string{"HOST": "h1"})
	m, err := l.Load(t.Context(), url)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if m.Name != "it's" || m.Dest != "/srv/h1" || m.Serial != 42 || m.Rollback.To != Previous || m.Rollback.From != "2" ||
		m.Rollout == nil || m.Rollout.AtOnce(30) != 3 || m.Version != "before 2" || len(m.Src) > 0 {
		t.Errorf("%+v of\n%s", m.Manifest, text)
	}
	outline := Outline([]byte(now), strings.TrimSpace)
	if outline != "" {
		t.Errorf("what is masked is recorded: %s", outline)
	}
	if why := Lacking([]byte(now), strings.TrimSpace); !strings.Contains(why, "may be a secret") ||
		Lacking([]byte(now), strings.Clone) != "" {
		t.Errorf("why not: %s", why)
	}
	outline = Outline([]byte(now), strings.Clone)
	if again, err := GoingBack([]byte(outline), Back{Name: "it's", To: Previous}); string(again) != string(text) {
		t.Errorf("of the outline\n%s\ncomes\n%s\n%v", outline, again, err)
	}
	twice, err := GoingBack([]byte(Outline(text, strings.Clone)), Back{Name: "it's", To: Previous})
	if want := strings.Replace(string(text), "serial: 42", "serial: 43", 1); string(twice) != want {
		t.Errorf("a second time it is\n%s\n%v", twice, err)
	}
	for serial, want := range map[Back]string{
		{Serial: 42}: "serial: 42\n", {Known: 50}: "serial: 51\n", {Known: 41}: "serial: 42\n",
		{Serial: 51, Known: 50}: "serial: 51\n",
		{Serial: 41}:            "serial 41 is not above 41", {Serial: 50, Known: 50}: "serial 50 is not above 50",
	} {
		serial.Name, serial.To = "it's", Previous
		text, err := GoingBack([]byte(now), serial)
		said := string(text) + fmt.Sprint(err)
		if !strings.Contains(said, want) || (err == nil) != strings.HasPrefix(want, "serial:") {
			t.Errorf("%+v: %s", serial, said)
		}
	}
	for why, text := range map[string]string{
		"alone":    "name: web\ndest: /srv/web\nversion: 1",
		"too long": "name: web\ndest: /srv/web\nrollout: {hosts: [" + strings.Repeat("h, ", 1000) + "]}",
		"no YAML":  "a: [",
	} {
		if got := Outline([]byte(text), strings.Clone); got != "" || Lacking([]byte(text), strings.Clone) == "" {
			t.Errorf("%s: %s", why, got)
		}
	}
	for wrong, manifest := range map[string]string{
		`is that of "it's", not of`: now,
		"has no rollout":            "name: web\ndest: /srv/web",
		"names no dest":             "name: web\nrollout: {service: web}",
		"is the one to get away":    "name: web\nversion: 1\ndest: /srv/web\nrollout: {service: web}",
		"hosts go back themselves":  "name: web\ndest: /srv/web\nrollback: {to: previous}\nrollout: {service: web}",
	} {
		_, err := GoingBack([]byte(manifest), Back{Name: "web", To: "1"})
		if err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%q: %v, want %q", manifest, err, wrong)
		}
	}
	for _, version := range []string{"", "version: ''\n", "version: '{{ must_env \"V\" }}'\n"} {
		text := []byte("name: web\n" + version + "dest: /srv/web\nrollout: {service: web}\n")
		if text, err := GoingBack(text, Back{Name: "web", To: Previous}); err == nil || text != nil {
			t.Errorf("%s: %s", version, text)
		}
		if text, err := GoingBack(text, Back{Name: "web", To: "1"}); err != nil || strings.Contains(string(text), "from") {
			t.Errorf("%s: %s, %v", version, text, err)
		}
	}
}
