package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"stretcher/internal/fetch/publish"
	"stretcher/internal/fleet"
	"stretcher/internal/process"
)

// rollouts are those of a server that answers as the test says, one answer for each
// question.
type rollouts struct {
	answers []answer
	names   []string // nil = web
	steered string
	refuses error
	record  fleet.Record
	unknown error
	fired   string // an event and its payload that is remembered
	burns   error  // why no event can be fired
	hangs   int    // so many questions for changes on, nothing is answered
}

// answer is how it stands, or why that is not known.
type answer struct {
	state fleet.State
	err   error
}

func (r *rollouts) Names(context.Context) ([]string, error) {
	if r.names != nil {
		return r.names, nil
	}
	return []string{"web"}, r.answers[0].err
}

func (r *rollouts) Read(context.Context, string) (fleet.State, error) {
	a := r.answers[0]
	if len(r.answers) > 1 {
		r.answers = r.answers[1:]
	}
	return a.state, a.err
}

func (r *rollouts) Recorded(context.Context, string) (fleet.Record, error) {
	return r.record, r.unknown
}
func (r *rollouts) Fired(_ context.Context, event, payload string) (bool, error) {
	return event+" "+payload == r.fired, nil
}

func (r *rollouts) Fire(_ context.Context, event, payload string) (string, error) {
	r.steered += "fire " + event + " " + payload + ";"
	return "id-1", r.burns
}

func (r *rollouts) Drop(_ context.Context, key string) error {
	r.steered += "drop " + key + ";"
	return nil
}

func (r *rollouts) Changes(ctx context.Context, _ string, index uint64) (uint64, error) {
	if r.hangs > 0 && int(index)+1 >= r.hangs {
		<-ctx.Done()
		return index, ctx.Err()
	}
	return index + 1, nil
}

func (r *rollouts) Stop(_ context.Context, name, why string) error { return r.steer("stop", name, why) }
func (r *rollouts) Resume(_ context.Context, name, by string) error {
	return r.steer("resume", name, by)
}
func (r *rollouts) Retry(_ context.Context, name, by string) error { return r.steer("retry", name, by) }

func (r *rollouts) Forget(_ context.Context, f fleet.Forgetting) (fleet.Forgotten, error) {
	r.steered += fmt.Sprintf("forget %s %q %v %v;", f.Name, f.Beside, f.Force, f.DryRun)
	parts := []fleet.Part{{Key: "head", Keys: 1}, {Key: "res/", Keys: 2}}
	return fleet.Forgotten{State: r.answers[0].state, Parts: parts}, r.refuses
}

func (r *rollouts) steer(what, name, by string) error {
	r.steered += fmt.Sprintf("%s %s %s;", what, name, strings.SplitN(by, "@", 2)[0])
	return r.refuses
}

// fleetSays calls the program with those rollouts.
func fleetSays(r *rollouts, args ...string) (status int, stdout, stderr string) {
	var out, errs strings.Builder
	p := Process{Args: append([]string{"stretcher", "fleet"}, args...), Stdout: &out, Stderr: &errs}
	reach := func() (Rollouts, error) { return r, nil }
	status = newApp(p, Actions{Fleeting: Fleeting{Rollouts: reach, Identify: identify}}).main(context.Background())
	return status, out.String(), errs.String()
}

// identify takes what is at s3://c/k, and where events are fired, for the manifest of the
// rollout.
func identify(_ context.Context, _ Settings, url string) (string, error) {
	switch {
	case strings.HasPrefix(url, "s3://b/"), url == "s3://c/k", strings.HasSuffix(url, "@h/k"):
		return "42", nil
	case url == "s3://c/other":
		return "43", nil
	}
	return "", errors.New("404 Not Found")
}

func standing(version string, hosts ...fleet.Standing) answer {
	s := fleet.State{Name: "web", Version: version, ID: version, Phase: fleet.Open}
	for i, how := range hosts {
		s.Hosts = append(s.Hosts, fleet.Host{Node: fmt.Sprint("web-", i), Standing: how})
	}
	return answer{state: s}
}

// TestFleetWait: a server may be away in the middle, and a rollout may not have begun.
func TestFleetWait(t *testing.T) {
	away := answer{err: fmt.Errorf("%w: no route", fleet.ErrUnreachable)}
	none := answer{err: fleet.ErrUnknown}
	good, going := standing("42", fleet.HostGood), standing("42", fleet.HostWorking)
	lost := standing("42", fleet.HostGood, fleet.HostMissing)
	for _, c := range []struct {
		name    string
		answers []answer
		status  int
		says    string
	}{
		{"good", []answer{good}, 0, "web 42: web-0 good\n"},
		{"begins later", []answer{none, standing("41", fleet.HostGood), going, good}, 0, "web 42: web-0 working\n"},
		{"away at first", []answer{away}, 5, "hint: CONSUL_HTTP_ADDR"},
		{"away for a while", []answer{going, away, away, good}, 0, "consul is out of reach: no route; trying again\n"},
		{"away for good", []answer{going, away}, 5, "stretcher: consul is out of reach: no route\n"},
		{"failed", []answer{going, standing("42", fleet.HostFailed)}, 1, "web 42: web-0 failed\n"},
		{"begins", []answer{{state: fleet.State{Name: "web", Version: "42", ID: "1", Phase: fleet.Open, Begins: true}}, going,
			standing("42", fleet.HostFailed)}, 1, "web 42: web-0 failed\n"},
		{"replaced", []answer{going, standing("43", fleet.HostGood)}, 1, `another rollout has taken its place: version "43"`},
		{"removed", []answer{going, none}, 8, "web 42: it was there, and is there no more: no such rollout is known"},
		{"waits", []answer{standing("41", fleet.HostGood), good}, 0, "stretcher: waits for web 42; the newest is web 41\n"},
		{"of none", []answer{none, none, good}, 0, "stretcher: waits for web 42\n"},
		{"never", []answer{none}, 8, `--timeout of 1h is over: no such rollout is known: "web" version "42"`},
		{"goes on", []answer{going}, 7, "--timeout of 1h is over: web 42: going, open, 0 of 1 host good, 1 working"},
		{"missing", []answer{lost}, 3, "--timeout of 1h is over: web 42: missing, open, 1 of 2 hosts good, 1 missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				status, out, errs := fleetSays(&rollouts{answers: c.answers}, "wait", "web", "42")
				if status != c.status || !strings.Contains(out+errs, c.says) {
					t.Errorf("exit status %d, want %d and %q:\n%s%s", status, c.status, c.says, out, errs)
				}
			})
		})
	}
}

// TestFleetWaitHangs: a server that takes questions and answers none has not said that
// there is no such rollout.
func TestFleetWaitHangs(t *testing.T) {
	going := answer{err: fleet.ErrUnknown}
	for silent, want := range map[int]string{1: "consul has not answered", 2: "no such rollout is known"} {
		synctest.Test(t, func(t *testing.T) {
			r := &rollouts{answers: []answer{going}, hangs: silent}
			status, _, errs := fleetSays(r, "wait", "web", "42", "--timeout", "10s")
			if status != map[int]int{1: 5, 2: 8}[silent] || !strings.Contains(errs, "--timeout of 10s is over: "+want) {
				t.Errorf("exit status %d: %s", status, errs)
			}
		})
	}
}

// TestFleetSteer: what is so already is done, and what can't be is told from what is
// not known. Who wants the event gets it, when hosts can't have made it up.
func TestFleetSteer(t *testing.T) {
	const url = "s3://b/it's.yml"
	for _, c := range []struct {
		args    string
		refuses error
		status  int
		steered string // but for the name of who does it
		says    string
	}{
		{"stop", nil, 0, "stop web", ""},
		{"stop", fmt.Errorf("%w: by me", fleet.ErrAlready), 0, "stop web", "stretcher: it is so already: by me\n"},
		{"stop", fleet.ErrUnknown, 8, "stop web", "no such rollout"},
		{"stop", fleet.ErrEnded, 1, "stop web", "the rollout has ended"},
		{"resume", nil, 0, "resume web", `come again by its event: consul event -name deploy 's3://b/it'\''s.yml'`},
		{"resume", errors.New("the rollout is not stopped"), 1, "resume web", "is not stopped"},
		{"resume --event go", nil, 0, "resume web;fire go " + url, `event "go" fired: id-1`},
		{"resume --event other", nil, 1, "", "remembers no event \"other\" with it\n" +
			"hint: --url URL says where the manifest of the rollout is"},
		{"retry --event other --url s3://c/k", nil, 0, "retry web;fire other s3://c/k", "fired"},
		{"retry --event other --url s3://c/other", nil, 2, "", "another manifest than that of the rollout of web 42"},
		{"retry --event other --url s3://c/none", nil, 1, "", "--url: 404 Not Found\nhint: consul event"},
		{"retry --url http://u:p@h/k", nil, 0, "retry web", "consul event -name deploy URL, with the URL of its manifest\n"},
		{"retry --event=", nil, 2, "", "--event says something"},
		{"retry --event a/b", nil, 2, "", "is no name of an event"},
		{"retry --url=", nil, 2, "", "--url expects the URL of the manifest"},
		{"retry --url " + strings.Repeat("x", 257), nil, 2, "", "has more than 256 bytes"},
		{"retry --url \u202e", nil, 2, "", "has what can't be printed"},
		{"retry", fleet.ErrUnreachable, 5, "retry web", "out of reach"},
	} {
		r := &rollouts{answers: []answer{standing("42", fleet.HostWaiting)}, refuses: c.refuses,
			record: fleet.Record{URL: url}, fired: "go " + url}
		status, out, errs := fleetSays(r, append(strings.Fields(c.args), "web")...)
		done := strings.TrimSuffix(strings.ReplaceAll(r.steered, " "+process.Caller(), ""), ";")
		done = strings.ReplaceAll(done, " by", "")
		if status != c.status || done != c.steered || (status == 0) != strings.HasPrefix(out, "web 42: ") ||
			!strings.Contains(errs, c.says) {
			t.Errorf("%s: exit status %d, %q, %q; done: %q", c.args, status, out, errs, r.steered)
		}
	}
	r := &rollouts{answers: []answer{standing("42", fleet.HostWaiting)}, burns: fleet.ErrUnreachable}
	status, _, errs := fleetSays(r, "resume", "web", "--event", "deploy", "--url", url)
	want := `hint: that is done: consul event -name deploy 's3://b/it'\''s.yml'`
	if status != 5 || !strings.Contains(errs, want) {
		t.Errorf("exit status %d, %q, want %q", status, errs, want)
	}
}

// TestFleetSteerSecret: hosts have not recorded a URL that holds a secret, or have recorded
// one that leads nowhere: no event with it is of any use.
func TestFleetSteerSecret(t *testing.T) {
	for _, url := range []string{"", "http://xxxxx@h/k.yml"} {
		r := &rollouts{answers: []answer{standing("42", fleet.HostWaiting)}, record: fleet.Record{URL: url},
			fired: "go " + url}
		status, _, errs := fleetSays(r, "retry", "web")
		if status != 0 || !strings.Contains(errs, "which hosts have not recorded: it holds a secret") ||
			strings.Contains(errs, "xxx") {
			t.Errorf("%q: exit status %d, %s", url, status, errs)
		}
		r.steered = ""
		status, _, errs = fleetSays(r, "retry", "web", "--event", "go")
		if status != 1 || r.steered != "" || !strings.Contains(errs, "it holds a secret, or can't be told\nhint: --url URL") {
			t.Errorf("%q: exit status %d, %s", url, status, errs)
		}
	}
}

// TestFleetBrokenOff: a server that breaks a connection off is told of, unlike who reads
// what is printed and has gone away.
func TestFleetBrokenOff(t *testing.T) {
	for _, server := range []bool{true, false} {
		err := error(os.NewSyscallError("write", syscall.EPIPE))
		if server {
			err = &net.OpError{Op: "write", Net: "tcp", Err: err}
		}
		status, _, errs := fleetSays(&rollouts{answers: []answer{{err: err}}}, "status", "web")
		if status != 5 || strings.Contains(errs, "broken pipe") != server {
			t.Errorf("a server: %v: exit status %d, %q", server, status, errs)
		}
	}
}

// TestFleetSteerSays: whoever may write there may write anything.
func TestFleetSteerSays(t *testing.T) {
	a := standing("42\x1b[31m\n\u202e", fleet.HostWaiting)
	status, out, _ := fleetSays(&rollouts{answers: []answer{a}}, "stop", "web")
	if want := `web 42\x1b[31m\n\u202e: going, open, 0 of 1 host good, 1 waiting` + "\n"; status != 0 || out != want {
		t.Errorf("exit status %d, %q, want %q", status, out, want)
	}
}

// TestFleetStatusOfSpoilt: one name of which keys hold something else hides no others.
func TestFleetStatusOfSpoilt(t *testing.T) {
	spoilt := answer{err: fmt.Errorf("%w: head is spoilt", fleet.ErrStopped)}
	all := []answer{standing("1", fleet.HostGood), spoilt, {err: fleet.ErrUnknown}, standing("2", fleet.HostGood)}
	r := &rollouts{answers: all, names: []string{"api", "web", "gone", "zoo"}}
	status, out, errs := fleetSays(r, "status", "--json")
	if status != 1 || strings.Count(out, "\n") != 3 ||
		!strings.Contains(out, `"why":"the rollout is stopped: head is spoilt"`) {
		t.Errorf("exit status %d\n%s%s", status, out, errs)
	}
	if status, _, errs := fleetSays(&rollouts{answers: []answer{spoilt}}, "status", "web"); status != 5 {
		t.Errorf("exit status %d\n%s", status, errs)
	}
}

// TestFleetStatusOfAll: the exit status is that of the worst.
func TestFleetStatusOfAll(t *testing.T) {
	for want, a := range map[int]answer{
		0: standing("42", fleet.HostGood), 1: standing("42", fleet.HostDied), 3: standing("42", fleet.HostMissing),
		7: standing("42", fleet.HostWaiting, fleet.HostFailed), 5: {err: fleet.ErrUnreachable},
	} {
		if status, out, errs := fleetSays(&rollouts{answers: []answer{a}}, "status"); status != want {
			t.Errorf("exit status %d, want %d:\n%s%s", status, want, out, errs)
		}
	}
	states := []fleet.State{standing("1", fleet.HostWaiting).state, standing("2", fleet.HostMissing).state}
	if got := worst(states); got != 3 {
		t.Errorf("exit status %d of one that goes on and one with a missing host", got)
	}
	if got := worst(append(states, standing("3", fleet.HostFailed).state)); got != 1 {
		t.Errorf("exit status %d where one has failed", got)
	}
}

// TestFleetRollbackSigned: what hosts would refuse is not published, unless somebody
// says that they would not; the signature of what was there before goes.
func TestFleetRollbackSigned(t *testing.T) {
	for _, c := range []struct {
		flags, to string
		status    int
		steered   string
		says      string
	}{
		{"", "consul://stretcher/manifests/a%2Fb/rollback.yml", 2, "", "hint: --sign KEY signs the way back, too"},
		{"--dry-run", "", 2, "", "is signed: without --sign they would refuse the way back"},
		{"--unsigned --sign k", "", 2, "", "--unsigned and --sign can't be used together"},
		{"--unsigned", "consul://stretcher/manifests/a%2Fb/rollback.yml", 0,
			"drop stretcher/manifests/a/b/rollback.yml.minisig;", "stretcher fleet wait a/b 'before 4' tells how it goes\n"},
		{"--unsigned", "s3://b/k.yml", 0, "", "fired"},
	} {
		r := &rollouts{record: fleet.Record{Outline: "name: a/b\n", Signed: true}}
		var out, errs strings.Builder
		p := Process{Args: append([]string{"stretcher", "fleet", "rollback", "a/b"}, strings.Fields(c.flags)...),
			Stdout: &out, Stderr: &errs}
		actions := Actions{Fleeting: Fleeting{Rollouts: func() (Rollouts, error) { return r, nil }}}
		actions.Pack = func(context.Context, PackOptions) (*publish.Result, error) {
			return &publish.Result{Manifest: publish.Object{URL: c.to}, Version: "before 4"}, nil
		}
		status := newApp(p, actions).main(context.Background())
		before, _, _ := strings.Cut(r.steered, "stop ")
		if status != c.status || before != c.steered || !strings.Contains(errs.String(), c.says) {
			t.Errorf("%s: exit status %d, %q\n%s", c.flags, status, r.steered, errs.String())
		}
	}
}

// TestFleetRollbackRefuses: what can't be meant is refused before anything is read.
func TestFleetRollbackRefuses(t *testing.T) {
	for flags, want := range map[string]string{
		"--from=": "--from expects a version", "--back-to=": "--back-to and --event say something",
		"--event=../kv/x": `--event "../kv/x" is no name of an event`,
	} {
		status, _, errs := fleetSays(&rollouts{}, "rollback", "web", "--manifest", "m.yml", "--to", "s3://b/k/", flags)
		if status != 2 || !strings.Contains(errs, want) {
			t.Errorf("%s: exit status %d, %s", flags, status, errs)
		}
	}
}

// TestFleetForget: who removes a rollout says what there was, and which manifest goes
// with it; one that is gone already is no failure.
func TestFleetForget(t *testing.T) {
	const here = `"stretcher/manifests/web/rollback.yml" "stretcher/manifests/web/rollback.yml.minisig"`
	for _, c := range []struct {
		args    string
		refuses error
		status  int
		steered string
		says    string
	}{
		{"web", nil, 0, "forget web [" + here + "] false false;",
			"web 42: good, open, 1 of 1 host good\nremoved head: 1 key\nremoved res/: 2 keys\n"},
		{"web --dry-run --force", nil, 0, "forget web [" + here + "] true true;", "would remove res/: 2 keys\n"},
		{"..", nil, 0, "forget .. [] false false;", "removed"},
		{"web", fleet.ErrAlready, 0, "forget web [" + here + "] false false;", "stretcher: it is so already\n"},
		{"web", fleet.ErrBegun, 1, "forget web [" + here + "] false false;", "has begun meanwhile\n"},
		{"web", fleet.ErrUnknown, 8, "forget web [" + here + "] false false;", "no such rollout is known\n"},
		{"web", fleet.ErrUnreachable, 5, "forget web [" + here + "] false false;", "hint: CONSUL_HTTP_ADDR"},
	} {
		r := &rollouts{answers: []answer{standing("42", fleet.HostGood)}, refuses: c.refuses}
		status, out, errs := fleetSays(r, append([]string{"forget"}, strings.Fields(c.args)...)...)
		if status != c.status || r.steered != c.steered || !strings.Contains(out+errs, c.says) {
			t.Errorf("%s: exit status %d, %s\n%s%s", c.args, status, r.steered, out, errs)
		}
	}
}
