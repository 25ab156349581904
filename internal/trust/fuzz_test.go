package trust

import (
	"errors"
	"net/url"
	"testing"

	"aead.dev/minisign"
)

// FuzzVerify: nobody vouches for what was not signed, whatever the document,
// and there is never a signer beside an error.
func FuzzVerify(f *testing.F) {
	public, secret, err := minisign.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	k := &Keys{list: []key{{id: idOf(public), file: "a.pub", public: public}}}
	good := minisign.SignWithComments(secret, []byte(message), "t", "u")
	f.Add([]byte(message), good)
	f.Add([]byte("other"), append(good, good...))
	f.Add([]byte{}, []byte("untrusted comment: \n\ntrusted comment: \n\n"))
	f.Fuzz(func(t *testing.T, signed, document []byte) {
		signers, err := k.Verify(signed, document, 1)
		if (err == nil) != (len(signers) == 1) || err == nil && string(signed) != message {
			t.Errorf("%v, %v", signers, err)
		}
	})
}

// FuzzKey: a key that was read is the one that is written.
func FuzzKey(f *testing.F) {
	public, _, err := minisign.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	text, _ := public.MarshalText()
	f.Add(text)
	f.Add([]byte(public.String() + "\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := parseKey(data)
		if err != nil {
			if read.ID() != 0 {
				t.Error("a key beside an error")
			}
			return
		}
		text, _ := read.MarshalText()
		if again, err := parseKey(text); err != nil || !again.Equal(read) {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// FuzzSecret: a secret key that was read is the one that is written.
func FuzzSecret(f *testing.F) {
	s, err := GenerateSecret()
	if err != nil {
		f.Fatal(err)
	}
	text, err := s.File("")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(s.PublicFile())
	f.Fuzz(func(t *testing.T, file []byte) {
		read, err := ParseSecret(file, func() (string, error) { return "", errors.New("none") })
		if err != nil {
			return
		}
		text, err := read.File("")
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseSecret(text, nil)
		if err != nil || again.ID() != read.ID() {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// FuzzSignatureURL: a signature is asked of where the manifest is asked of, and
// is the signature of that manifest alone.
func FuzzSignatureURL(f *testing.F) {
	for _, seed := range []string{
		"s3://b/app.yml", "https://u:p@h:1/a%2Fb.yml?x=/#?", "https://h?/a", "https://h#/a", "//h/a",
		"file:///a?b", "https:a/b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, manifest string) {
		at, err := SignatureURL(manifest)
		if err != nil {
			return
		}
		of, bad := url.Parse(manifest)
		u, worse := url.Parse(at)
		if err := errors.Join(bad, worse); err != nil {
			t.Fatal(err)
		}
		if u.Scheme != of.Scheme || u.Host != of.Host || u.User.String() != of.User.String() ||
			u.Path != of.Path+suffix || u.RawQuery != of.RawQuery || ManifestURL(at) != manifest {
			t.Errorf("%q: %q", manifest, at)
		}
	})
}
