package delta

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"stretcher/internal/archive"
	"stretcher/internal/archive/index"
	"stretcher/internal/archive/pack"
)

// reading reads an archive ahead. What is on its way it reads at last, or passes.
type reading struct {
	passes bool
	rests  func() // is called when all else has been read
	late   map[string]*archive.Content
	all    map[string]string
}

// File reads a content.
func (r *reading) File(e archive.Entry, content *archive.Content) error {
	if later := content.Later(); later != nil {
		r.late[e.Path] = later
		return nil
	}
	text, err := io.ReadAll(content)
	r.all[e.Path] = string(text)
	return err
}

// Link is not called.
func (*reading) Link(archive.Entry, string) error { return errors.New("a link") }

// Drop is not called.
func (*reading) Drop(string) error { return errors.New("a file is dropped") }

// Rest reads what is left.
func (r *reading) Rest() error {
	r.rests()
	for path, content := range r.late {
		if r.passes {
			r.all[path] = ""
			continue
		}
		text, err := io.ReadAll(content)
		if err := errors.Join(err, content.Close()); err != nil {
			return err
		}
		r.all[path] = string(text)
	}
	return nil
}

// holding serves parts of an archive when it is let.
func holding(t *testing.T, r *release, spoil func([]byte)) (url string, let func()) {
	t.Helper()
	data, err := os.ReadFile(r.archive)
	ok(t, err)
	free := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if filepath.Ext(req.URL.Path) == Suffix {
			http.ServeFile(w, req, r.archive+Suffix)
			return
		}
		<-free
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(data))
	}))
	let = sync.OnceFunc(func() { close(free) })
	t.Cleanup(s.Close)
	t.Cleanup(let)
	spoil(data)
	return s.URL + "/a.tar.x", let
}

// TestAhead: all that is here is read before a part has come, what is on its way when it
// has, and the end is there when all is. What the index says of members that come is
// compared with them, also where it was read before.
func TestAhead(t *testing.T) {
	before, after := newRelease(t, files(-1), pack.Gzip), newRelease(t, changedFiles(3, 17, 31), pack.Gzip)
	nothing := func([]byte) {}
	for name, c := range map[string]struct {
		passes bool
		spoil  func([]byte)
		lie    func(x *index.Index)
		want   error // of Bring
		read   error // of who reads
	}{
		"read":   {spoil: nothing},
		"passed": {passes: true, spoil: nothing},
		"spoilt": {spoil: func(b []byte) { clear(b) }, want: ErrMember, read: ErrIncomplete},
		"another digest, read": {spoil: nothing, read: index.ErrContent,
			lie: func(x *index.Index) { x.Files[numberOf(x, "d3/f3")].Sum[0]++ }},
		"another digest, passed": {spoil: nothing, passes: true, read: ErrIndex,
			lie: func(x *index.Index) { x.Files[numberOf(x, "d3/f3")].Sum[0]++ }},
	} {
		t.Run(name, func(t *testing.T) {
			url, let := holding(t, after, c.spoil)
			h, _ := hostWith(t, before, after, url)
			h.Archive = func(string) (Source, bool) {
				f, err := os.Open(before.archive)
				return f, err == nil
			}
			h.Wants, h.Record = nil, nil
			r := &reading{passes: c.passes, rests: let, late: map[string]*archive.Content{}, all: map[string]string{}}
			done, ended := make(chan error, 1), 0
			h.Meanwhile = func(b *Rebuilt) func() {
				if c.lie != nil {
					c.lie(b.w.Index)
				}
				go func() {
					defer let() // also where it does not come to that
					in, err := b.Open()
					if err == nil {
						_, _, err = archive.Scan(t.Context(), in, archive.Options{}, r)
						err = errors.Join(err, in.Close())
					}
					done <- err
				}()
				return func() { ended++ }
			}
			b, _, err := h.Bring(t.Context(), newServer())
			if !errors.Is(err, c.want) || (ended > 0) != (err != nil) {
				t.Errorf("%v, want %v; it was ended %d times", err, c.want, ended)
			}
			if err := <-done; !errors.Is(err, c.read) {
				t.Errorf("who reads gets %v, want %v", err, c.read)
			}
			if len(r.late) != 3 {
				t.Errorf("%d contents were on their way", len(r.late))
			}
			if c.want == nil && c.read == nil {
				r.compare(t, changedFiles(3, 17, 31))
			}
			ok(t, b.Close())
		})
	}
}

// compare compares what was read with what was packed.
func (r *reading) compare(t *testing.T, want map[string]string) {
	t.Helper()
	if len(r.all) != len(want) {
		t.Errorf("%d contents, want %d", len(r.all), len(want))
	}
	for path, text := range want {
		if _, late := r.late[path]; r.all[path] != text && !(late && r.passes) {
			t.Errorf("%q has another content", path)
		}
	}
}

func numberOf(x *index.Index, path string) int {
	for i := range x.Files {
		if x.Files[i].Path == path {
			return i
		}
	}
	return -1
}

// TestNotAhead: where more than a tenth of an archive is to come, nobody reads it
// before that is here.
func TestNotAhead(t *testing.T) {
	x := &index.Index{Size: 100 << 20}
	for bytes, want := range map[int64]bool{0: true, 10 << 20: true, 11 << 20: false} {
		begun := false
		b := newRebuilt(Wish{Index: x, Meanwhile: func(*Rebuilt) func() {
			begun = true
			return func() {}
		}})
		if b.tell(bytes); begun != want {
			t.Errorf("%d bytes: begun: %v", bytes, begun)
		}
	}
}
