package fleet

import (
	"encoding/json"
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
