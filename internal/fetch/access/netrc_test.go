package access

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"stretcher/internal/testparts"
)

// TestNetrcAsCurl: a netrc says to us what it says to curl.
func TestNetrcAsCurl(t *testing.T) {
	curl := testparts.Need(t, "curl")
	asked := ""
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		if asked = ""; ok {
			asked = user + " " + password
		}
	}))
	defer srv.Close()
	u, _ := url.Parse(srv.URL)
	file := filepath.Join(t.TempDir(), "netrc")
	for text, want := range map[string]string{
		"machine 127.0.0.1 login u password p":                                                      "u p",
		"machine 127.0.0.1\n\tlogin u\n\tpassword p\n":                                              "u p",
		"machine other login x password y machine 127.0.0.1 login u password p":                     "u p",
		"machine 127.0.0.1 login u password p\nmachine 127.0.0.1 login v password q":                "u p",
		"machine 127.0.0.1 account a login u password p":                                            "u p",
		"default login d password e":                                                                "d e",
		"machine other login x password y\ndefault login d password e\n":                            "d e",
		"machine other login x password y":                                                          "",
		"# machine 127.0.0.1 login x password y\nmachine 127.0.0.1 login u password p":              "u p",
		`machine 127.0.0.1 login "u v" password "p\"q\\r\t"`:                                        "u v p\"q\\r\t",
		"machine 127.0.0.1 login u password p#q":                                                    "u p#q",
		"machine 127.0.0.1 login machine password default":                                          "machine default",
		"macdef init\nmachine 127.0.0.1 login x password y\n\nmachine 127.0.0.1 login u password p": "u p",
		"": "",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(curl, "-sS", "--netrc-file", file, srv.URL).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		got := ""
		if l, ok := find(parse([]byte(text)), u.Hostname(), true); ok {
			got = l.user + " " + l.password
		}
		if got != want || asked != want {
			t.Errorf("%q: %q, by curl %q, want %q", text, got, asked, want)
		}
	}
}

// FuzzNetrc: nothing of a netrc is for a host that it does not have.
func FuzzNetrc(f *testing.F) {
	f.Add("machine h login u password p")
	f.Add("machine \"\" login \"\\")
	f.Add("macdef x\ndefault\n\n#")
	f.Fuzz(func(t *testing.T, text string) {
		for _, l := range parse([]byte(text)) {
			if _, ok := find([]login{l}, "other.example", false); ok && l.host != "other.example" {
				t.Errorf("%+v is for other.example", l)
			}
		}
	})
}
