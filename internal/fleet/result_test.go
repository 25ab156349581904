package fleet

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func sample() Result {
	at := time.Date(2026, 11, 20, 16, 42, 5, 123e6, time.UTC)
	return Result{
		Name: "web", Version: "42", Rollout: "r1", Run: "01a20418-651f-7d36-b919-f04fdda124e5", Node: "web-1", Zone: "a",
		Result: "failed", Step: "verify", Error: "verify: exit status 22", Started: at, Finished: at.Add(time.Second),
	}
}

func TestResultComesBack(t *testing.T) {
	for _, want := range []Result{sample(), {Name: "web", Result: "running"}} {
		b, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeResult(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s\ngot  %+v\nwant %+v, %v", b, got, want, err)
		}
	}
}

// TestResultIsBounded: the error gives way first, and no text is in the way of another.
func TestResultIsBounded(t *testing.T) {
	long := strings.Repeat("ä\"\u202e\x01\xff", 5000)
	r := sample()
	r.Error = long
	b, err := r.Encode()
	if err != nil || len(b) > MaxResult || len(b) < MaxResult-100 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	got, err := DecodeResult(b)
	whole := utf8.ValidString(got.Error) && strings.HasSuffix(got.Error, "...")
	if err != nil || got.Run != r.Run || got.Node != r.Node || !whole {
		t.Errorf("%+v, %v", got, err)
	}
	all := Result{
		Name: long, Version: long, Rollout: long, Run: long, Node: long, Zone: long, Result: long, Step: long, Error: long,
	}
	b, err = all.Encode()
	if err != nil || len(b) > MaxResult || !json.Valid(b) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if got, err = DecodeResult(b); err != nil || got.Node == "" || got.Error == "" {
		t.Errorf("%+v, %v", got, err)
	}
	if b, err = all.EncodeIn(512); err != nil || len(b) > 512 || !json.Valid(b) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// TestResultIsKnown: what a result is known by stays whole, however long the rest is.
func TestResultIsKnown(t *testing.T) {
	long := strings.Repeat("v\n\x1b[2J\"", 300)
	want := sample()
	want.Rollout, want.Node = strings.Repeat("0a", 16), "web-1."+strings.Repeat("n", 240)
	r := want
	r.Name, r.Version, r.Runs, r.Error, r.Step, r.Zone = long, long, long, long, long, long
	b, err := r.Encode()
	if err != nil || len(b) > MaxResult || strings.ContainsAny(string(b), "\n\x1b") {
		t.Fatalf("%d bytes, %v: %q", len(b), err, b)
	}
	got, err := DecodeResult(b)
	same := got.Rollout == want.Rollout && got.Run == want.Run && got.Node == want.Node && got.Result == want.Result
	if err != nil || !same || !strings.HasPrefix(got.Runs, "v\n") || !strings.HasSuffix(got.Runs, "...") {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestAfter: what stays of what a node has said of a rollout.
func TestAfter(t *testing.T) {
	say := func(rollout, run, result, runs string) Result {
		return Result{Rollout: rollout, Run: run, Result: result, Runs: runs}
	}
	good := say("a", "2", "good", "42")
	for what, c := range map[string]struct{ r, before, want Result }{
		"the first":                 {good, Result{}, good},
		"the same run, told again":  {say("a", "2", "failed", "41"), good, say("a", "2", "failed", "41")},
		"stopped, once it was good": {say("a", "3", "stopped", "42"), good, good},
		"stopped, and older":        {say("a", "1", "stopped", "42"), good, good},
		"it has gone back since":    {say("a", "3", "stopped", "40"), good, say("a", "2", "good", "40")},
		"it says nothing of that":   {say("a", "3", "stopped", ""), good, good},
		"stopped, once it failed": {say("a", "3", "stopped", "4"), say("a", "2", "failed", "4"),
			say("a", "2", "failed", "4")},
		"stopped, once it died": {say("a", "3", "stopped", "4"), say("a", "", "died", ""), say("a", "", "died", "4")},
		"stopped twice": {say("a", "3", "stopped", "4"), say("a", "2", "stopped", "3"),
			say("a", "3", "stopped", "4")},
		"good after it was stopped": {say("a", "1", "good", "4"), say("a", "2", "stopped", "3"),
			say("a", "1", "good", "4")},
		"failed since":             {say("a", "3", "failed", "42"), good, say("a", "3", "failed", "42")},
		"an older one fails late":  {say("a", "1", "failed", "42"), good, good},
		"stopped, of another one":  {say("b", "3", "stopped", "42"), good, say("b", "3", "stopped", "42")},
		"an older one, of another": {say("b", "1", "failed", "42"), good, good},
	} {
		if got := c.r.After(c.before); got != c.want {
			t.Errorf("%s: %+v, want %+v", what, got, c.want)
		}
	}
	mixed := Result{Rollout: "a", Run: "3", Result: "stopped", Mixed: true}
	if got := mixed.After(good); got.Result != "good" || !got.Mixed || got.Runs != "" {
		t.Errorf("%+v", got)
	}
}

// TestHas: which version a host has by what it says.
func TestHas(t *testing.T) {
	for want, r := range map[string]Result{
		"42 false true": {Version: "42", Result: "good"},
		"41 false true": {Version: "before 42", Runs: "41", Result: "good"},
		" false true":   {Result: "good"},
		"40 false true": {Version: "42", Runs: "40", Result: "failed"},
		" true true":    {Version: "42", Mixed: true, Result: "failed"},
		" false false":  {Version: "42", Result: "died"},
		"39 false true": {Version: "42", Runs: "39", Result: "stopped"},
		"38 false true": {Version: "38", Result: "skipped"},
	} {
		version, mixed, told := r.Has()
		if got := fmt.Sprint(version, " ", mixed, " ", told); got != want {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
}

func TestDecodeResultRefuses(t *testing.T) {
	for _, text := range []string{
		"", "null", "[]", "{}", `{"name":"web"}`, `{"name":"web","result":"good","started":"soon"}`,
		`{"name":1,"result":"good"}`, `{"name":"web","result":"good"} x`,
		`{"name":"web","result":"good","error":"` + strings.Repeat("x", MaxResult) + `"}`,
	} {
		if r, err := DecodeResult([]byte(text)); err == nil {
			t.Errorf("%.60q is %+v", text, r)
		}
	}
}

func TestVerdict(t *testing.T) {
	hosts := func(all ...Standing) (list []Host) {
		for _, s := range all {
			list = append(list, Host{Standing: s})
		}
		return list
	}
	for _, c := range []struct {
		s     State
		want  Verdict
		ended bool
	}{
		{State{ID: "1", Phase: Done, Hosts: hosts(HostGood)}, VerdictGood, true},
		{State{ID: "1", Phase: Open, Hosts: hosts(HostGood)}, VerdictGood, true},
		{State{ID: "1", Phase: Open, Hosts: hosts(HostGood, HostMissing)}, VerdictMissing, false},
		{State{ID: "1", Phase: Done, Hosts: hosts(HostGood, HostMissing)}, VerdictMissing, true},
		{State{ID: "1", Phase: Open, Hosts: hosts(HostFailed, HostWaiting)}, VerdictGoing, false},
		{State{ID: "1", Phase: Open, Hosts: hosts(HostFailed, HostMissing)}, VerdictFailed, false},
		{State{ID: "1", Phase: Open, Hosts: hosts(HostFailed, HostExpected)}, VerdictGoing, false},
		{State{ID: "1", Phase: Open, Hosts: hosts(HostGood, HostExpected)}, VerdictGoing, false},
		{State{ID: "1", Phase: Stopped, Hosts: hosts(HostGood, HostExpected)}, VerdictFailed, true},
		{State{ID: "1", Phase: Stopped, Hosts: hosts(HostFailed, HostWorking, HostStopped)}, VerdictGoing, false},
		{State{ID: "1", Phase: Stopped, Hosts: hosts(HostGood, HostWaiting)}, VerdictFailed, true},
		{State{ID: "1", Phase: Done, Hosts: hosts(HostDied, HostGood)}, VerdictFailed, true},
		{State{ID: "1", Phase: Open}, VerdictGoing, false},
		{State{ID: "1", Phase: Canary, Begins: true}, VerdictGoing, false},
		{State{ID: "1", Phase: Open, Begins: true, Hosts: hosts(HostGood)}, VerdictGoing, false},
		{State{ID: "1", Phase: Stopped}, VerdictFailed, true},
		{State{Hosts: hosts(HostGood, HostGood)}, VerdictGood, true},
		{State{Hosts: hosts(HostGood, HostMissing)}, VerdictMissing, false},
		{State{Hosts: hosts(HostGood, HostWorking)}, VerdictGoing, false},
	} {
		if got, ended := c.s.Verdict(), c.s.Ended(); got != c.want || ended != c.ended {
			t.Errorf("%+v: %s, ended %v; want %s, %v", c.s, got, ended, c.want, c.ended)
		}
	}
}

func TestSort(t *testing.T) {
	s := State{Hosts: []Host{
		{Node: "d", Standing: HostGood}, {Node: "c", Standing: HostFailed, Zone: "b"},
		{Node: "b", Standing: HostFailed, Zone: "a"},
		{Node: "a", Standing: HostFailed, Zone: "a"}, {Node: "e", Standing: HostMissing},
	}}
	s.Sort()
	var order string
	for _, h := range s.Hosts {
		order += h.Node
	}
	if order != "abced" {
		t.Error(order)
	}
}

func FuzzDecodeResult(f *testing.F) {
	b, err := sample().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"name":"\ud800","result":"x","started":"0000-01-01T00:00:00+23:59"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeResult(data)
		if err != nil {
			return
		}
		b, err := r.Encode()
		if err != nil || len(b) > MaxResult {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
	})
}
