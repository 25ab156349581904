package delta

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stretcher/internal/archive/pack"
	"stretcher/internal/testparts"
)

// staged are the staging directories that are there.
func (h *host) staged() []string {
	all, err := filepath.Glob(filepath.Join(h.dir, ".stretcher-*", "tree"))
	check(h.tb, err)
	more, err := filepath.Glob(filepath.Join(h.dest(), ".stretcher-*", "tree"))
	check(h.tb, err)
	tmp, err := filepath.Glob(filepath.Join(h.path("tmp"), "*", "tree"))
	check(h.tb, err)
	return append(append(all, more...), tmp...)
}

// holding is a server that sends the first part of an archive as it should, and no more
// before the host has begun to stage what is there.
type holding struct {
	t       *testing.T
	h       *host
	archive []byte
	begins  bool // something is going to be staged meanwhile
	lone    bool // and what is not a part is not sent
	then    answer
	stopped func(r *http.Request) // is called instead

	lock  sync.Mutex
	parts int
}

// ServeHTTP answers for archives.
func (s *holding) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var from, to int
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil {
		if s.lone {
			http.Error(w, "gone", http.StatusGone)
			return
		}
		_, _ = w.Write(s.archive)
		return
	}
	s.lock.Lock()
	s.parts++
	n := s.parts
	s.lock.Unlock()
	if n == 1 {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.archive))
		return
	}
	s.wait()
	if s.stopped != nil {
		s.stopped(r)
		return
	}
	s.then(w, s.archive, from, min(to, len(s.archive)-1))
}

// wait waits until the host has begun to stage, if it shall, or long enough for that.
func (s *holding) wait() {
	for range 3000 {
		if len(s.h.staged()) > 0 {
			if !s.begins {
				s.t.Error("something is staged before all has come")
			}
			return
		}
		if !s.begins {
			time.Sleep(100 * time.Millisecond)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Error("nothing is staged while parts are on their way")
}

// aheads are answers for parts that come while what is here is staged, with what the
// program says of them once; "" = nothing.
func aheads() map[string]struct {
	answer answer
	want   string
} {
	whole := "warning: fetching the whole archive: "
	right := func(w http.ResponseWriter, archive []byte, first, last int) {
		partOf(w, archive, archive[first:last+1], first, last)
	}
	return map[string]struct {
		answer answer
		want   string
	}{
		"right":         {right, ""},
		"other bytes":   {answers()["other bytes"], whole},
		"no ranges":     {answers()["the whole archive"], whole},
		"changed":       {answers()["a range of another archive"], whole},
		"forbidden":     {answers()["forbidden"], whole},
		"broken off":    {answers()["one byte less than it says"], whole},
		"another range": {answers()["another range"], whole},
	}
}

// TestAhead: what is here is staged while parts are on their way. Whatever becomes of
// these, the tree is the right one, one line says why the archive is fetched whole, what
// was staged counts once, and lines have their order.
func TestAhead(t *testing.T) {
	older, newer := versions(t)
	dir := t.TempDir()
	older.write(t, dir+"/older")
	newer.write(t, dir+"/newer")
	first, second := packed(t, dir+"/older", pack.Gzip), packed(t, dir+"/newer", pack.Gzip)
	for _, strategy := range []string{"native", "releases"} {
		for name, c := range aheads() {
			t.Run(strategy+", "+name, func(t *testing.T) {
				t.Parallel()
				o, h := newOrigin(t), newHost(t, strategy)
				deployed(t, h, o.publish("older", h.dest(), strategy, first), dir+"/older")
				s := &holding{t: t, h: h, archive: second.archive, begins: true, then: c.answer}
				o.answer(s.ServeHTTP)
				log := deployed(t, h, o.publish("newer", h.dest(), strategy, second), dir+"/newer", "--retry", "0")
				read := map[string]string{"native": "+00:00 read ", "releases": "+00:00 extracted "}[strategy]
				fetched := strings.Index(log, "fetched ")
				if fetched < 0 || fetched > strings.Index(log, read) || strings.Count(log, read) != 1 ||
					strings.Count(log, "fetching the whole archive") != strings.Count(c.want, "fetching the whole archive") ||
					!strings.Contains(log, c.want) {
					t.Errorf("it says:\n%s", log)
				}
				if left := h.staged(); len(left) > 0 {
					t.Errorf("left behind: %q", left)
				}
			})
		}
	}
}

// TestAheadStrips: that names lose their first parts is said once, before what was read,
// though that was staged before.
func TestAheadStrips(t *testing.T) {
	older, newer := versions(t)
	dir := t.TempDir()
	check(t, os.Mkdir(dir+"/older", 0o755))
	check(t, os.Mkdir(dir+"/newer", 0o755))
	older.write(t, dir+"/older/top")
	newer.write(t, dir+"/newer/top")
	first, second := packed(t, dir+"/older", pack.Gzip), packed(t, dir+"/newer", pack.Gzip)
	o, h := newOrigin(t), newHost(t, "native")
	strips := func(m string) string { return m + "strip_components: 1\n" }
	url := o.publish("older", h.dest(), "native", first)
	o.edit("/older.yml", strips)
	if status, log := h.deploy(url); status != 0 {
		t.Fatalf("exit status %d\n%s", status, log)
	}
	url = o.publish("newer", h.dest(), "native", second)
	o.edit("/newer.yml", strips)
	s := &holding{t: t, h: h, archive: second.archive, begins: true, then: aheads()["right"].answer}
	o.answer(s.ServeHTTP)
	said := "lose their first components: strip_components 1\n"
	status, log := h.deploy(url)
	if at := strings.Index(log, said); at < strings.Index(log, "fetched ") || at > strings.Index(log, "+00:00 read ") ||
		strings.Count(log, said) != 1 || s.parts < 2 || status != 0 {
		t.Errorf("exit status %d, %d parts\n%s", status, s.parts, log)
	}
}

// TestNotAhead: where something runs before an archive is unpacked, all of that has come
// before: nothing is staged meanwhile.
func TestNotAhead(t *testing.T) {
	older, newer := versions(t)
	dir := t.TempDir()
	older.write(t, dir+"/older")
	newer.write(t, dir+"/newer")
	first, second := packed(t, dir+"/older", pack.Gzip), packed(t, dir+"/newer", pack.Gzip)
	for more, strategy := range map[string]string{
		"commands: {pre: [echo begins]}\n":           "native",
		"commands: {pre: [echo  begins]}\n":          "releases",
		"hooks: {post_pack: [{run: echo begins}]}\n": "native",
	} {
		o, h := newOrigin(t), newHost(t, strategy)
		deployed(t, h, o.publish("older", h.dest(), strategy, first), dir+"/older")
		url := o.publish("newer", h.dest(), strategy, second)
		o.edit("/newer.yml", func(m string) string { return m + more })
		s := &holding{t: t, h: h, archive: second.archive, then: aheads()["right"].answer}
		o.answer(s.ServeHTTP)
		log := deployed(t, h, url, dir+"/newer")
		if at := strings.Index(log, "fetched "); at < 0 || at > strings.Index(log, "begins\n") || s.parts < 2 {
			t.Errorf("%s: %d parts\n%s", strategy, s.parts, log)
		}
	}
}

// TestAheadEnds: a run that ends while parts are on their way leaves dest as it was, and
// nothing else. The fetching has failed, and not the unpacking.
func TestAheadEnds(t *testing.T) {
	older, newer := versions(t)
	dir := t.TempDir()
	older.write(t, dir+"/older")
	newer.write(t, dir+"/newer")
	want := look(t, dir+"/older")
	first, second := packed(t, dir+"/older", pack.Gzip), packed(t, dir+"/newer", pack.Gzip)
	for name, c := range map[string]struct {
		args   []string
		term   bool
		status int
		want   string
	}{
		"term":    {term: true, status: 143, want: "fetch: "},
		"timeout": {args: []string{"--timeout", "3s"}, status: 1, want: "fetch: not done after --timeout 3s"},
		"gone":    {status: 1, want: "fetch: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, h := newOrigin(t), newHost(t, "native")
			deployed(t, h, o.publish("older", h.dest(), "native", first), dir+"/older")
			url := o.publish("newer", h.dest(), "native", second)
			cmd, started, out := h.command(append(c.args, url)...), make(chan struct{}), new(bytes.Buffer)
			cmd.Stdout, cmd.Stderr = out, out
			s := &holding{t: t, h: h, archive: second.archive, begins: true, lone: true, then: answers()["forbidden"]}
			if name != "gone" {
				s.stopped = func(r *http.Request) {
					if c.term {
						<-started
						_ = cmd.Process.Signal(syscall.SIGTERM)
					}
					<-r.Context().Done()
				}
			}
			o.answer(s.ServeHTTP)
			check(t, cmd.Start())
			close(started)
			err := cmd.Wait()
			log := out.String()
			if status := testparts.ExitStatus(err); status != c.status || !strings.Contains(log, "error: "+c.want) {
				t.Errorf("exit status %d\n%s", status, log)
			}
			if strings.Contains(log, "+00:00 read ") {
				t.Errorf("what was staged counts:\n%s", log)
			}
			if got := look(t, h.live()); got != want {
				t.Errorf("dest has changed:\n%s", difference(got, want))
			}
			left, err := os.ReadDir(h.path("tmp"))
			check(t, err)
			if staged := h.staged(); len(left)+len(staged) > 0 {
				t.Errorf("left behind: %v, %q", left, staged)
			}
		})
	}
}
