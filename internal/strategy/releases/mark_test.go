package releases

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestList(t *testing.T) {
	d := layout(t)
	r := Release{ID: id(9), Name: "app", Version: "1.0", Checksum: "sha256:00", Created: time.Unix(1e9, 0).UTC()}
	must(t, addAt(d, context.Background(), stage(t, d), r, nil))
	add(t, d, 3, "")
	add(t, d, 5, Pending) // later, though its id is older
	must(t, d.Mark(id(5), Bad, "post failed"))
	put(t, filepath.Join(d.releasesPath(), "by-hand/file"), "")
	put(t, filepath.Join(d.releasesPath(), id(1)), "a file")
	must(t, os.Symlink(id(9), d.Path(id(2))))

	list, err := d.List()
	must(t, err)
	r.Seq, r.State = 1, Pending
	if len(list) != 3 {
		t.Fatalf("list = %+v", list)
	}
	if l := list[0]; l.ID != id(5) || l.Seq != 2 || l.State != Bad || l.Reason != "post failed" {
		t.Errorf("got %+v", l)
	}
	if !reflect.DeepEqual(list[1], r) {
		t.Errorf("got  %+v\nwant %+v", list[1], r)
	}
	if want := (Release{ID: id(3), State: Bad, Reason: "it has no mark"}); list[2] != want {
		t.Errorf("got  %+v\nwant %+v", list[2], want)
	}

	empty, err := Open(filepath.Join(t.TempDir(), "none"), Options{})
	must(t, err)
	if list, err := empty.List(); len(list) != 0 || err != nil {
		t.Errorf("list of nothing = %v, %v", list, err)
	}
}

// TestUnreadableMark: what is wrong with it is said without a bare path.
func TestUnreadableMark(t *testing.T) {
	d := layout(t)
	add(t, d, 1, Good)
	add(t, d, 2, Good)
	must(t, os.Remove(d.markPath(id(1))))
	must(t, os.Symlink(id(1)+".json", d.markPath(id(1)))) // leads to itself
	must(t, os.Remove(d.markPath(id(2))))
	must(t, os.Mkdir(d.markPath(id(2)), 0o755))
	list, err := d.List()
	must(t, err)
	for i, want := range []string{"it is a directory, not a file", "it is a symlink, not a file"} {
		if got := list[i].Reason; got != "its mark can't be read: "+want {
			t.Errorf("release %s: %q", list[i].ID, got)
		}
	}
}

func TestPrevious(t *testing.T) {
	d := layout(t)
	if _, ok, err := d.Previous(""); ok || err != nil {
		t.Errorf("Previous of nothing = %v, %v", ok, err)
	}
	for n, s := range []State{Good, Bad, Good, Pending, Bad, ""} {
		add(t, d, n+1, s)
	}
	for _, tt := range []struct {
		of, want int // 0 = none
	}{{0, 3}, {6, 3}, {5, 3}, {4, 3}, {3, 1}, {2, 1}, {1, 0}} {
		of := ""
		if tt.of > 0 {
			of = id(tt.of)
		}
		r, ok, err := d.Previous(of)
		if err != nil || ok != (tt.want > 0) || ok && r.ID != id(tt.want) {
			t.Errorf("Previous(%d) = %q, %v, %v, want %d", tt.of, r.ID, ok, err, tt.want)
		}
	}
}

// TestPreviousDamaged: what current leads to has gone.
func TestPreviousDamaged(t *testing.T) {
	d := layout(t)
	for n := 1; n <= 4; n++ {
		add(t, d, n, Good)
	}
	must(t, d.Switch(id(3)))
	must(t, os.RemoveAll(d.Path(id(3)))) // its mark stays
	must(t, os.RemoveAll(d.Path(id(4))))
	if list, err := d.List(); err != nil || len(list) != 2 || list[0].ID != id(2) {
		t.Errorf("List = %+v, %v", list, err)
	}
	if got, ok, err := d.Current(); got != id(3) || !ok || err != nil {
		t.Errorf("Current = %q, %v, %v", got, ok, err)
	}
	must(t, os.Remove(d.markPath(id(1))))
	for _, of := range []string{id(3), id(4), id(7), id(1), "gone", ""} {
		if r, ok, err := d.Previous(of); r.ID != id(2) || !ok || err != nil {
			t.Errorf("Previous(%q) = %q, %v, %v", of, r.ID, ok, err)
		}
	}
	must(t, os.Remove(d.CurrentPath()))
	if _, ok, err := d.Current(); ok || err != nil {
		t.Errorf("Current = %v, %v", ok, err)
	}
	must(t, d.Switch(id(2)))
}

func TestLeave(t *testing.T) {
	d := layout(t)
	for n, s := range []State{Good, Good, Good, Bad, Pending, ""} {
		add(t, d, n+1, s)
	}
	for n := 3; n <= 7; n++ {
		must(t, d.Leave(id(n), id(8)))
	}
	must(t, d.Leave("gone", id(8)))
	want := Release{ID: id(3), Seq: 3, State: Good, RolledBack: true, Reason: "rolled back by run " + id(8)}
	r, err := d.readMark(id(3))
	want.Created = r.Created
	if r != want || err != nil || r.Sound() {
		t.Errorf("got %+v, %v, want %+v", r, err, want)
	}
	list, err := d.List()
	must(t, err)
	for _, r := range list {
		if r.RolledBack != (r.ID == id(3)) || r.Sound() != (r.Seq == 1 || r.Seq == 2) {
			t.Errorf("%+v, sound: %v", r, r.Sound())
		}
	}
	for _, of := range []string{"", id(3), id(4)} {
		if r, ok, err := d.Previous(of); r.ID != id(2) || !ok || err != nil {
			t.Errorf("Previous(%q) = %q, %v, %v", of, r.ID, ok, err)
		}
	}
	must(t, d.Mark(id(3), Good, "")) // made live again
	if r, _, err := d.Previous(""); r.ID != id(3) || !r.Sound() || r.Reason != "" || err != nil {
		t.Errorf("Previous = %+v, %v", r, err)
	}
}

func TestMark(t *testing.T) {
	d := layout(t)
	add(t, d, 1, Good)
	add(t, d, 2, "")
	must(t, os.WriteFile(d.markPath(id(1)), []byte("{"), 0o600)) // as after a bad disk
	list, err := d.List()
	must(t, err)
	for _, r := range list {
		if r.State != Bad || r.Seq != 0 {
			t.Errorf("without its mark: %+v", r)
		}
	}
	put(t, filepath.Join(d.releasesPath(), newMark+id(1)), strings.Repeat("left by a kill", 100))
	must(t, d.Mark(id(1), Good, ""))
	must(t, d.Mark(id(2), Bad, "why"))
	for n, want := range map[int]Release{
		1: {ID: id(1), Seq: 1, State: Good}, 2: {ID: id(2), Seq: 2, State: Bad, Reason: "why"},
	} {
		if r, err := d.readMark(id(n)); err != nil || r != want {
			t.Errorf("got %+v, %v, want %+v", r, err, want)
		}
	}
	if err := d.Mark(id(3), Good, ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("err = %v", err)
	}
}

// FuzzParseMark: what is accepted is read again as the same from its own text.
func FuzzParseMark(f *testing.F) {
	for _, s := range []string{
		`{"id":"` + id(1) + `","seq":1,"state":"good","created":"2026-01-02T03:04:05Z"}`,
		`{"id":"` + id(1) + `","seq":0,"state":"good"}`,
		`{"id":"` + id(2) + `","seq":1,"state":"good"}`,
		`{"id":"` + id(1) + `","seq":9223372036854775807,"state":"bad"}`,
		`{"id":"` + id(1) + `","seq":1,"state":"fine"}`, `null`, ``, `[]`, "\x00",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseMark(id(1), b)
		if err != nil {
			if r != (Release{}) {
				t.Fatalf("%+v with error %v", r, err)
			}
			return
		}
		if r.ID != id(1) || r.Seq <= 0 || r.Seq+1 <= 0 {
			t.Fatalf("accepted %+v", r)
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		r2, err := parseMark(id(1), again)
		if err != nil || !r2.Created.Equal(r.Created) || r2.Seq != r.Seq || r2.State != r.State {
			t.Fatalf("%+v, %v, want %+v", r2, err, r)
		}
	})
}

func TestParseMarkSeeds(t *testing.T) {
	if _, err := parseMark(id(1), []byte(`{"id":"`+id(1)+`","seq":1,"state":"good"}`)); err != nil {
		t.Error(err)
	}
	for _, s := range []string{
		`{"seq":1,"state":"good"}`, `{"id":"` + id(1) + `","seq":-1,"state":"good"}`, `{"id":"` + id(1) + `","seq":1}`,
	} {
		if r, err := parseMark(id(1), []byte(s)); err == nil {
			t.Errorf("%s gives %+v", s, r)
		}
	}
}
