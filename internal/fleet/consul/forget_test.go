package consul_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/consul"
	"stretcher/internal/testparts"
	"stretcher/internal/text/failure"
)

// TestForget plays what can happen to a rollout that somebody removes, each by itself.
func TestForget(t *testing.T) {
	a := agent(t)
	register(t, a, 2)
	for name, play := range map[string]func(*scene){
		"over": forgotten, "at-work": forgetAtWork, "waits": forgetWaiting, "yet-to-come": forgetAwaited,
		"died": forgetDead, "force": forgetByForce, "spoilt": forgetSpoilt, "no-head": forgetHeadless,
		"several": forgetSeveral, "way-back": forgetWayBack, "dots/../dots": forgetDots,
		"comes-meanwhile": forgetComes, "begun-meanwhile": forgetBegun, "many-shards": forgetMany,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(newScene(t, a, name, 2))
		})
	}
}

// over has all hosts deploy, one after the other.
func (s *scene) over(version string) {
	s.t.Helper()
	for i := range s.r.Hosts {
		place, _ := s.works(version, i)
		s.leaves(place, "good")
	}
}

// keys are all that there is of the name.
func (s *scene) keys() string {
	s.t.Helper()
	s.agent.Put(s.t, "/v1/kv/stretcher/fleet/"+s.escaped()+"/any", "") // a list of nothing is an error
	text := string(request(s.t, s.agent, "GET", "/v1/kv/stretcher/fleet/"+s.escaped()+"/?keys="))
	request(s.t, s.agent, "DELETE", "/v1/kv/stretcher/fleet/"+s.escaped()+"/any")
	return text
}

func (s *scene) escaped() string { return strings.ReplaceAll(s.name, "/", "%252F") }

// forgets wants all of it removed.
func (s *scene) forgets(f fleet.Forgetting) fleet.Forgotten {
	s.t.Helper()
	f.Name = s.name
	told, err := s.c.Forget(s.t.Context(), f)
	if err != nil {
		s.t.Fatalf("%v, hint %q", err, failure.Hint(err))
	}
	if left := s.keys(); strings.Count(left, `"`) != 2 {
		s.t.Errorf("left: %s", left)
	}
	return told
}

// keeps wants it refused, and nothing removed.
func (s *scene) keeps(why string, f fleet.Forgetting) {
	s.t.Helper()
	f.Name = s.name
	before := s.keys()
	_, err := s.c.Forget(s.t.Context(), f)
	if err == nil || !strings.Contains(err.Error(), why) || errors.Is(err, fleet.ErrAlready) {
		s.t.Errorf("%v, want %q", err, why)
	}
	if after := s.keys(); after != before {
		s.t.Errorf("there is %s, and was %s", after, before)
	}
}

// forgotten: what is over goes, and nothing of a name that begins alike; the same event
// begins it anew.
func forgotten(s *scene) {
	s.keeps(`no such rollout is known: "over"`, fleet.Forgetting{})
	s.over("1")
	other := *s
	other.name = s.name + "2"
	other.over("1")
	before := s.keys()
	told, err := s.c.Forget(s.t.Context(), fleet.Forgetting{Name: s.name, DryRun: true})
	if after := s.keys(); err != nil || after != before {
		s.t.Errorf("%v, there is %s, and was %s", err, after, before)
	}
	if told.State.Count(fleet.HostGood) != 2 || len(told.Parts) != 3 || told.Parts[0].Keys != 1 ||
		told.Parts[1].Key != "stretcher/fleet/over/r/" || told.Parts[1].Keys < 4 ||
		told.Parts[2] != (fleet.Part{Key: "stretcher/fleet/over/res/", Keys: 2}) {
		s.t.Errorf("%+v", told)
	}
	s.forgets(fleet.Forgetting{})
	s.keeps(`no such rollout is known: "over"`, fleet.Forgetting{Force: true})
	if state := other.read(); state.Count(fleet.HostGood) != 2 {
		s.t.Errorf("%+v", state)
	}
	s.over("1")
	s.forgets(fleet.Forgetting{})
}

func forgetAtWork(s *scene) {
	s.r.Hosts = hosts(1)
	first, work := s.works("1", 0)
	s.keeps(`the rollout goes on: hosts at work: "web-0"`, fleet.Forgetting{})
	if err := s.c.Stop(s.t.Context(), s.name, "by hand"); err != nil {
		s.t.Fatal(err)
	}
	s.keeps(`the rollout goes on: hosts at work: "web-0"`, fleet.Forgetting{DryRun: true})
	if work.Err() != nil {
		s.t.Error("its work has ended")
	}
	s.leaves(first, "good")
	s.forgets(fleet.Forgetting{})
}

func forgetWaiting(s *scene) {
	first, _ := s.works("1", 0)
	second, told := s.waits("1", 1)
	s.keeps(`hosts at work: "web-0"; hosts that wait for their turn: "web-1"`, fleet.Forgetting{})
	s.leaves(first, "good")
	s.gets(told, nil)
	s.leaves(second, "failed")
	s.forgets(fleet.Forgetting{})
}

// forgetAwaited: as long as hosts have the time to come, it is not over, unless somebody
// has stopped it.
func forgetAwaited(s *scene) {
	first, _ := s.works("1", 0)
	s.leaves(first, "good")
	s.keeps(`the rollout goes on: hosts that have yet to come: "web-1"`, fleet.Forgetting{})
	if err := s.c.Stop(s.t.Context(), s.name, "by hand"); err != nil {
		s.t.Fatal(err)
	}
	s.forgets(fleet.Forgetting{})
}

// forgetDead: a host that died at work may live on without Consul for a lease. It is
// waited for, and by --force it is not.
func forgetDead(s *scene) {
	lastAtWork(s)
	var hosts []string
	var waits time.Duration
	f := fleet.Forgetting{DryRun: true, Waits: func(of []string, until time.Time) {
		hosts, waits = append(hosts, of...), time.Until(until)
	}}
	s.stands(fleet.HostDied, fleet.HostGood)
	f.Name = s.name
	if _, err := s.c.Forget(s.t.Context(), f); err != nil || strings.Join(hosts, " ") != "web-1" || waits > lease {
		s.t.Errorf("%v, waits %s for %q", err, waits, hosts)
	}
	if s.read().Count(fleet.HostDied) != 1 {
		s.t.Error("it is gone")
	}
	f.DryRun, hosts = false, nil
	began := time.Now()
	s.forgets(f)
	if strings.Join(hosts, " ") != "web-1" || time.Since(began) < lease {
		s.t.Errorf("waited for %q", hosts)
	}
	s.name += "-again"
	lastAtWork(s)
	s.stands(fleet.HostDied, fleet.HostGood)
	s.forgets(fleet.Forgetting{Force: true, Waits: func([]string, time.Time) { s.t.Error("it waits") }})
}

// forgetByForce: hosts that wait end, and those at work finish.
func forgetByForce(s *scene) {
	first, work := s.works("1", 0)
	second, told := s.waits("1", 1)
	going := s.forgets(fleet.Forgetting{Force: true}).Going
	if len(going) != 2 || going[0] != `hosts at work: "web-0"` || !strings.HasSuffix(going[1], `turn: "web-1"`) {
		s.t.Errorf("%q", going)
	}
	s.gets(told, fleet.ErrStopped)
	s.leaves(second, "stopped")
	if work.Err() != nil {
		s.t.Error("its work has ended")
	}
	s.leaves(first, "good")
	s.forgets(fleet.Forgetting{}) // what they have told since
}

func forgetSpoilt(s *scene) {
	first, _ := s.works("1", 0)
	s.agent.Put(s.t, "/v1/kv/stretcher/fleet/spoilt/head", "{}")
	s.keeps(`hosts at work: "web-0"`, fleet.Forgetting{})
	s.leaves(first, "good")
	_, err := s.enter(s.entry("1", 1)).Wait(s.t.Context())
	if hint := failure.Hint(err); !errors.Is(err, fleet.ErrStopped) || !strings.Contains(hint, "fleet forget") {
		s.t.Errorf("%v, hint %q", err, hint)
	}
	s.forgets(fleet.Forgetting{})
}

func forgetHeadless(s *scene) {
	s.over("1")
	request(s.t, s.agent, "DELETE", "/v1/kv/stretcher/fleet/no-head/head")
	s.forgets(fleet.Forgetting{})
}

// forgetSeveral: of several who do so at the same time all are done.
func forgetSeveral(s *scene) {
	s.over("1")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			_, err := s.c.Forget(s.t.Context(), fleet.Forgetting{Name: s.name})
			if err != nil && !errors.Is(err, fleet.ErrAlready) && !errors.Is(err, fleet.ErrUnknown) {
				s.t.Error(err)
			}
		})
	}
	all.Wait()
	s.keeps("no such rollout is known", fleet.Forgetting{})
}

// forgetWayBack: the manifest by which hosts went back goes as well; one that is newer
// than the rollout is of another one, which has yet to begin.
func forgetWayBack(s *scene) {
	const key = "stretcher/manifests/way-back/rollback.yml"
	f := fleet.Forgetting{Beside: []string{key, key + ".minisig"}}
	const path = "/v1/kv/" + key
	s.agent.Put(s.t, path, "name: web\n")
	s.over("1")
	s.agent.Put(s.t, path, "name: web\nserial: 2\n")
	s.keeps(key+" is newer, and hosts may be about to go by it", f)
	s.over("2")
	if parts := s.forgets(f).Parts; parts[len(parts)-1] != (fleet.Part{Key: key, Keys: 1}) {
		s.t.Errorf("%+v", parts)
	}
	if text := s.agent.Get(path, s.agent.Token); text != "" {
		s.t.Errorf("it is there: %s", text)
	}
}

// forgetDots: a name never leads to what is another one's.
func forgetDots(s *scene) {
	const others = "stretcher/manifests/dots/rollback.yml"
	s.agent.Put(s.t, "/v1/kv/"+others, "name: dots\n")
	s.over("1")
	s.forgets(fleet.Forgetting{Beside: []string{"stretcher/manifests/dots/../dots/rollback.yml"}})
	if text := s.agent.Get("/v1/kv/"+others, s.agent.Token); text == "" {
		s.t.Error("another one's manifest is gone")
	}
}

// before does something before the first request that removes keys.
type before struct {
	next http.RoundTripper
	once sync.Once
	do   func()
}

func (b *before) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if r.Body = io.NopCloser(bytes.NewReader(body)); bytes.Contains(body, []byte("delete-tree")) {
			b.once.Do(b.do)
		}
	}
	return b.next.RoundTrip(r)
}

// meanwhile has something happen between the look at what there is, and its end.
func (s *scene) meanwhile(f fleet.Forgetting, do func()) error {
	s.t.Helper()
	b := &before{do: do}
	c, err := consul.Open(consul.Config{Address: s.agent.HTTPAddr, Token: s.agent.Token,
		Wrap: func(next http.RoundTripper) http.RoundTripper { b.next = next; return b }})
	if err != nil {
		s.t.Fatal(err)
	}
	f.Name = s.name
	_, err = c.Forget(s.t.Context(), f)
	return err
}

// forgetComes: a host of the same rollout comes meanwhile, and changes no head.
func forgetComes(s *scene) {
	s.over("1")
	var place *consul.Place
	var work context.Context
	err := s.meanwhile(fleet.Forgetting{}, func() { place, work = s.works("1", 0) })
	if err == nil || !strings.Contains(err.Error(), `hosts at work: "web-0"`) || work.Err() != nil {
		s.t.Errorf("%v, its work: %v", err, work.Err())
	}
	s.leaves(place, "good")
	s.forgets(fleet.Forgetting{})
}

// forgetBegun: another rollout begins meanwhile, and no force removes it.
func forgetBegun(s *scene) {
	s.over("1")
	var place *consul.Place
	err := s.meanwhile(fleet.Forgetting{Force: true}, func() { place, _ = s.works("2", 0) })
	if !errors.Is(err, fleet.ErrBegun) || !strings.Contains(err.Error(), `version "2"`) || s.read().Version != "2" {
		s.t.Errorf("%v, there is %+v", err, s.read())
	}
	s.leaves(place, "good")
}

// forgetMany: with more shards than a transaction has room for it is stopped first, and
// told as it stood before.
func forgetMany(s *scene) {
	s.r.Parallel = fleet.Hosts(2000)
	s.over("1")
	if told := s.forgets(fleet.Forgetting{}); told.State.Phase != fleet.Done {
		s.t.Errorf("%+v", told.State)
	}
}

// TestForgetRights: without the right to write nothing goes, and the rule is named that
// is missing, of the manifests too.
func TestForgetRights(t *testing.T) {
	t.Parallel()
	a := testparts.ConsulWithACL(t, "-hcl", `session_ttl_min = "1s"`)
	a.Register(t, "web-0", "web", nil)
	s := newScene(t, a, "web", 1)
	s.over("1")
	const key = "stretcher/manifests/web/rollback.yml"
	a.Put(t, "/v1/kv/"+key, "name: web\n")
	rule := func(prefix, policy string) string {
		return fmt.Sprintf("key_prefix %q { policy = %q }", "stretcher/"+prefix+"/", policy)
	}
	f := fleet.Forgetting{Name: "web", Force: true, Beside: []string{key}}
	for i, c := range []struct{ fleet, manifests, right, hint string }{
		{"", "", "key:read", rule("fleet", "read")},
		{rule("fleet", "read"), rule("manifests", "write"), "key:write", rule("fleet", "write")},
		{rule("fleet", "write"), "", "key:read", rule("manifests", "read")},
		{rule("fleet", "write"), rule("manifests", "read"), "key:write", rule("manifests", "write")},
	} {
		before := s.keys()
		client := new(journal).as(t, a, a.NewToken(t, fmt.Sprint("forget-", i), c.fleet+"\n"+c.manifests))
		_, err := client.Forget(t.Context(), f)
		if !errors.Is(err, fleet.ErrBarred) || !strings.Contains(err.Error(), c.right+" is missing") ||
			!strings.HasSuffix(failure.Hint(err), c.hint) {
			t.Errorf("%d: %v, hint %q", i, err, failure.Hint(err))
		}
		if after := s.keys(); after != before || a.Get("/v1/kv/"+key, a.Token) == "" {
			t.Errorf("%d: there is %s, and was %s", i, after, before)
		}
	}
}
