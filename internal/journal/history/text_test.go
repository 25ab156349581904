package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func runsOf(details []Detail) (runs []Run) {
	for _, d := range details {
		runs = append(runs, d.Run)
	}
	return runs
}

func lines(b *bytes.Buffer) []string {
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

func TestWriteTable(t *testing.T) {
	var b bytes.Buffer
	must(t, WriteTable(&b, runsOf(sample()[:6]), false))
	by := func(n int) string { return fmt.Sprintf("consul 6f9c1b7e-2f7a-4c5e-8a31-%012d by deploy", n) }
	want := []string{
		"RUN            STARTED                  NAME            VERSION        RESULT   DURATION  BY",
		"0193fffe-5d2a  2026-11-22 17:44:32 CET  app             2026.11.22-39  running  -         " + by(1),
		"0193fffd-5d2a  2026-11-22 14:45:12 CET  app             2026.11.22-38  good     42.0s     " + by(2),
		"0193fffc-5d2a  2026-11-22 14:45:11 CET  app             2026.11.22-37  skipped  -         " + by(3),
		"0193fffb-5d2a  2026-11-21 15:45:12 CET  billing-worker  2026.11.22-36  failed   1m35s     argument by deploy",
		"0193fffa-5d2a  2026-11-20 15:45:12 CET  app             2026.11.22-35  died     12.0s     " + by(5),
		"0193fff9-5d2a  2026-11-19 15:45:12 CET  app             2026.11.22-34  refused  800ms     " + by(6),
	}
	if got := lines(&b); !reflect.DeepEqual(got, want) {
		t.Errorf("table\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	b.Reset()
	must(t, WriteTable(&b, nil, false))
	if got := lines(&b); len(got) != 1 {
		t.Errorf("table of nothing: %q", got)
	}
}

func TestWriteDetail(t *testing.T) {
	var b bytes.Buffer
	must(t, WriteDetail(&b, sample()[3]))
	got := b.String()
	for _, want := range []string{
		"run       0193fffb-5d2a-7c31-9f00-000000000004\n",
		"result    failed in post, exit 1\n",
		"finished  2026-11-21 15:46:47 CET, after 1m35s\n",
		"log       /var/lib/stretcher/logs/4.log\n\nSTEP  POINT",
		"2     post_extract  p2        +4.0s   5.0s      0                    2000        20-warm-cache\n",
		"3     post_sync     commands  +11.0s  1m00s     SIGKILL (timed out)  3000        systemctl restart",
		"4     finish        commands  +1m32s  2.0s      127                  4000        mail -s failed",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	b.Reset()
	must(t, WriteDetail(&b, sample()[4]))
	want := "no; last sign of life 2026-11-20 15:45:24 CET\nresult    died in sync\n"
	if !strings.Contains(b.String(), want) {
		t.Errorf("no %q in\n%s", want, b.String())
	}
}

// TestTold: a hook's line says which file it is, unless the name does, and why
// it never started.
func TestTold(t *testing.T) {
	for want, s := range map[string]Step{
		"true":                                   {Name: "true"},
		"post_pack[0]":                           {Name: "post_pack[0]", Source: "hooks.post_pack[0]"},
		"a from /x/a":                            {Name: "a", Source: "/x/a"},
		"a from /x/a: is not executable":         {Name: "a", Source: "/x/a", Why: "is not executable"},
		"x[0]: exec format error":                {Name: "x[0]", Source: "hooks.x[0]", Why: "exec format error"},
		"10-a from /x/10-a.json":                 {Name: "10-a", Source: "/x/10-a.json"},
		"a.sh from /x/before_launch/a.sh: no":    {Name: "a.sh", Source: "/x/before_launch/a.sh", Why: "no"},
		`hook definition "/x/a.json": is broken`: {Name: `hook definition "/x/a.json": is broken`},
	} {
		if got := s.Told(); got != want {
			t.Errorf("%+v: %q, want %q", s, got, want)
		}
	}
}

// failing is a writer whose disk is full.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriteErrors(t *testing.T) {
	d := sample()[:2]
	for name, err := range map[string]error{
		"table":       WriteTable(failing{}, runsOf(d), true),
		"detail":      WriteDetail(failing{}, d[1]),
		"json":        WriteJSON(failing{}, runsOf(d)),
		"detail json": WriteDetailJSON(failing{}, d[1]),
	} {
		if err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWho(t *testing.T) {
	for _, c := range []struct{ event, user, want string }{
		{"stdin", "deploy", "stdin by deploy"}, {"stdin", "", "stdin"}, {"", "deploy", "by deploy"}, {"", "", ""},
	} {
		if got := (Run{Event: c.event, User: c.user}).Who(); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

func TestHuman(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-1: "0s", 0: "0s", 1: "<1ms", 999 * time.Microsecond: "<1ms", time.Millisecond: "1ms",
		999 * time.Millisecond: "999ms", time.Second: "1.0s", 59*time.Second + 999*time.Millisecond: "59.9s",
		time.Minute: "1m00s", time.Hour - 1: "59m59s", time.Hour: "1h00m", 100*time.Hour + 5*time.Minute: "100h05m",
	} {
		if got := Human(d); got != want {
			t.Errorf("Human(%d) = %q, want %q", d, got, want)
		}
	}
}

func TestShortIDsTellRunsApart(t *testing.T) {
	for _, c := range []struct {
		ids  []string
		want int
	}{
		{nil, shortID},
		{[]string{"0193fffe-5d2a-7c31"}, shortID},
		{[]string{"0193fffe-5d2a-7c31", "0193fffe-5d2a-7c41", "0193ffff-5d2a-7c41"}, 17},
		{[]string{"short", "s"}, shortID},
		{[]string{"the same again", "the same again"}, 14},
	} {
		var runs []Run
		for _, id := range c.ids {
			runs = append(runs, Run{ID: id})
		}
		if got := idLength(runs); got != c.want {
			t.Errorf("%q: %d, want %d", c.ids, got, c.want)
		}
	}
}

// Whatever a name holds, it stays in its cell: one line per run, and nothing
// a terminal obeys.
func FuzzTable(f *testing.F) {
	for _, s := range []string{"app", "a\nb", "\x1b]0;x\x07", "\u202e", "\xff", "\t\v\f", "", "\xc2\x9b31m"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := Run{ID: s, Deployment: Deployment{Name: s, Version: s, Dest: s}, Event: s, User: s, Error: s, Step: s,
			Result: Result(s), Process: Process{Log: s}}
		var table, detail bytes.Buffer
		if err := WriteTable(&table, []Run{r}, true); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(table.String(), "\n"); n != 2 {
			t.Errorf("%d lines in %q", n, table.String())
		}
		if err := WriteDetail(&detail, Detail{r, []Step{{Name: s, Point: s, Signal: s}}}); err != nil {
			t.Fatal(err)
		}
		for _, c := range table.String() + detail.String() {
			if c != '\n' && (unicode.IsControl(c) || unicode.Is(unicode.Cf, c)) {
				t.Errorf("%q gives %q", s, c)
			}
		}
	})
}

func TestWriteJSON(t *testing.T) {
	var b bytes.Buffer
	runs := runsOf(sample()[:6])
	runs[1].URL, runs[1].Name = "https://h/x?<&>", "é\n\u2028"
	must(t, WriteJSON(&b, runs))
	const tail = `,"name":"app","version":"2026.11.22-%d","dest":"/srv/app/current","url":"s3://deploys/app/app.yml"`
	for i, want := range []string{
		`{"id":"0193fffe-5d2a-7c31-9f00-000000000001","started":"2026-11-22T16:44:32.000Z"` +
			`,"finished":null,"duration_s":null` + fmt.Sprintf(tail, 39) +
			`,"result":"running","step":"","exit":null,"error":"",` +
			`"event":"consul 6f9c1b7e-2f7a-4c5e-8a31-000000000001","user":"deploy"}`,
		`{"id":"0193fffd-5d2a-7c31-9f00-000000000002","started":"2026-11-22T13:45:12.000Z"` +
			`,"finished":"2026-11-22T13:45:54.000Z","duration_s":42` +
			`,"name":"é\n\u2028","version":"2026.11.22-38","dest":"/srv/app/current","url":"https://h/x?<&>"` +
			`,"result":"good","step":"","exit":0,"error":"",` +
			`"event":"consul 6f9c1b7e-2f7a-4c5e-8a31-000000000002","user":"deploy"}`,
	} {
		if got := lines(&b)[i]; got != want {
			t.Errorf("line %d\n%s\nwant\n%s", i, got, want)
		}
	}
	for i, line := range lines(&b) {
		var v map[string]any
		must(t, json.Unmarshal([]byte(line), &v))
		ended := runs[i].Result != Running && runs[i].Result != Died
		if v["result"] != string(runs[i].Result) || (v["exit"] != nil) != ended ||
			(v["finished"] != nil) != (runs[i].Result != Running) {
			t.Errorf("line %s", line)
		}
	}
}

func TestWriteDetailJSON(t *testing.T) {
	var b bytes.Buffer
	must(t, WriteDetailJSON(&b, sample()[3]))
	must(t, WriteDetailJSON(&b, sample()[2])) // no steps
	got := lines(&b)
	for _, want := range []string{
		`,"steps":[{"point":"pre_extract","dialect":"commands","name":"echo start"` +
			`,"exit":0,"signal":"","timed_out":false,"duration_s":0.08,"stage":"","source":"","why":""},`,
		`,"exit":null,"signal":"SIGKILL","timed_out":true,"duration_s":60,"stage":"",`,
		`,"exit":127,"signal":"","timed_out":false,"duration_s":2,"stage":"","source":"","why":""}]}`,
	} {
		if !strings.Contains(got[0], want) {
			t.Errorf("no %s in\n%s", want, got[0])
		}
	}
	if !strings.HasSuffix(got[1], `,"steps":[]}`) || len(got) != 2 {
		t.Errorf("without steps: %s", got[1])
	}
	if !utf8.ValidString(b.String()) {
		t.Error("not UTF-8")
	}
}
