package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// asker stands for getent.
type asker struct {
	asked []string
	ids   map[string]int
	do    func()
}

func (a *asker) ask(_ context.Context, d database, name string) int {
	a.asked = append(a.asked, d.String()+" "+name)
	if a.do != nil {
		a.do()
	}
	if id, ok := a.ids[name]; ok {
		return id
	}
	return -1
}

// TestOwners holds what is asked of whom, once each, and what is warned of.
func TestOwners(t *testing.T) {
	a := &asker{ids: map[string]int{"ldapapp": 70007, "domain users": 70009}}
	var warned []string
	o := owners{ask: a.ask, warn: func(msg string) { warned = append(warned, msg) }}
	for range 2 {
		for _, c := range []struct {
			d      database
			name   string
			number int64
			want   int
		}{
			{users, "", 5, 5}, {users, "root", 5, 0}, {groups, "root", 5, 0}, {users, "ldapapp", 5, 70007},
			{groups, "domain users", 5, 70009}, {groups, "ldapapp", 5, 70007}, {users, "gone", 5, 5}, {groups, "gone", 6, 6},
			{users, "12", 5, 5}, {users, "-s", 7, 7},
		} {
			if got, err := o.id(t.Context(), c.d, c.name, c.number); err != nil || got != c.want {
				t.Errorf("%s %q: %d, %v, want %d", c.d, c.name, got, err, c.want)
			}
		}
	}
	want := []string{"passwd ldapapp", "group domain users", "group ldapapp", "passwd gone", "group gone"}
	if !slices.Equal(a.asked, want) {
		t.Errorf("asked %q, want %q", a.asked, want)
	}
	if len(warned) != 1 || !strings.Contains(warned[0], `owner "gone" is not known here`) {
		t.Errorf("warned %q", warned)
	}
	if _, err := o.id(t.Context(), users, "gone", 1<<32-1); !errors.Is(err, ErrMalformed) {
		t.Errorf("got %v", err)
	}
}

// TestOwnersBounded asks for no more names than it may, and not after the end
// of the context.
func TestOwnersBounded(t *testing.T) {
	a := &asker{}
	o := owners{ask: a.ask}
	for i := range 3 * maxNames {
		_, err := o.id(t.Context(), users, fmt.Sprintf("invented-%d", i), 5)
		check(t, err)
	}
	if len(a.asked) != maxAsked || len(o.known[users]) > maxNames {
		t.Errorf("asked %d times, %d names kept", len(a.asked), len(o.known[users]))
	}
	ctx, cancel := ending(t)
	slow := owners{ask: (&asker{do: cancel}).ask}
	if _, err := slow.id(ctx, users, "invented", 5); !errors.Is(err, errEnough) {
		t.Errorf("got %v", err)
	}
	late := owners{ask: a.ask, spent: askTime}
	if id, err := late.id(t.Context(), users, "another", 5); id != 5 || err != nil || len(a.asked) != maxAsked {
		t.Errorf("%d, %v, asked %d times", id, err, len(a.asked))
	}
}

func TestAskable(t *testing.T) {
	for name, want := range map[string]bool{
		"app": true, `DOMAIN\user`: true, "user@example.com": true, "domain users": true, "m\u00fcller": true,
		"7app": true, "a-b$": true,
		"": false, "0": false, "1000": false, "-i": false, "--service=x": false, "+1": false, " 1": false, "a:b": false,
		"a/b": false,
		"a,b": false, "a\nb": false, "a\x1bb": false, "\xff": false, "\t1": false, "a\u202eb": false,
	} {
		if got := askable(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestHead(t *testing.T) {
	for text, want := range map[string]int{
		"app:x:70007:70008::/:/bin/sh\n": 70007, "grp:x:5:a,b\nother:x:6:\n": 5, "": -1, "app\n": -1, "app:x:y:z\n": -1,
		"app:x:-1:z\n": -1, "app:x:4294967295:\n": -1, "app:x:4294967296:\n": -1,
		"grp:x:8:" + strings.Repeat("member,", 10_000) + "\n": 8,
	} {
		var h head
		for chunk := range slices.Chunk([]byte(text), 1000) {
			if n, err := h.Write(chunk); n != len(chunk) || err != nil {
				t.Fatal(n, err)
			}
		}
		if got := h.id(); got != want || h.Len() > 4096 {
			t.Errorf("%.40q: got %d, want %d", text, got, want)
		}
	}
}

// TestUnknownOwner is one warning of an archive, however many names it has, and
// none where owners are left alone.
func TestUnknownOwner(t *testing.T) {
	b := tarOf(ent{name: "f", uname: "no-such-user", gname: "no-such-group"}, ent{name: "g", uname: "no-other-user"},
		ent{name: "h", uname: "no-such-user", pax: map[string]string{"uid": "5", "gid": "5"}})
	want := 0
	if newRules(Compat).owners {
		want = 1
	}
	for mode, count := range map[Mode]int{Compat: want, Strict: 0} {
		warned := 0
		_, _, err := Scan(t.Context(), bytes.NewReader(b), Options{Mode: mode, Warn: func(string) { warned++ }},
			sinkFunc(nil))
		if check(t, err); warned != count {
			t.Errorf("mode %d: %d warnings, want %d", mode, warned, count)
		}
	}
}
