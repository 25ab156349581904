// Package pagetest makes a past such as a host has: what tests of the page look
// at, and what its picture in the documents shows. Only tests import it.
package pagetest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/journal/state"
)

// Run is a run with its log.
type Run struct {
	history.Detail
	Text []byte
}

// Now is the end of the past, in a zone of its own.
func Now() time.Time { return time.Date(2026, 11, 20, 16, 42, 5, 0, time.FixedZone("CET", 3600)) }

// app is something that is deployed again and again.
type app struct {
	name, dest, event, health string
	number                    int // of the last version
}

// Past makes so many runs that were before now, newest first: of four apps, mostly good, the last of
// one of them gone back by itself.
func Past(now time.Time, n int) (runs []Run) {
	random := rand.New(rand.NewPCG(1, 2))
	apps := []*app{
		{"shop", "/srv/shop", "consul shop 6f9c1b7e-2f7a-4c5e", "http://localhost:8080/healthz", 214},
		{"api", "/srv/api", "consul api 0b8d55c1-94aa-4d3c", "http://localhost:9000/ready", 98},
		{"billing-worker", "/srv/billing-worker", "serf deploy 1181", "http://localhost:9100/ready", 41},
		{"docs", "/var/www/docs", "argument", "http://localhost/docs/", 17},
	}
	ago := 26 * time.Minute
	for i := range n {
		a := apps[[]int{1, 0, 2, 0, 3, 1, 0, 1}[i%8]]
		kind := "good"
		switch {
		case i == 0:
			kind = "went back"
		case i == rolledBack:
			kind = "rollback"
		case i == 9 || i > 40 && random.IntN(29) == 0:
			kind = "failed"
		case i == 21 || i > 60 && random.IntN(80) == 0:
			kind = "refused"
		case i == 34 || i > 70 && random.IntN(110) == 0:
			kind = "died"
		case i == 14:
			kind = "skipped"
		}
		runs = append(runs, a.run(i, kind, now.Add(-ago), random))
		ago += 11*time.Minute + time.Duration(random.Int64N(int64(7*time.Hour)))
	}
	return runs
}

// builder makes a run step by step.
type builder struct {
	Run
	at time.Time
}

func (a *app) run(i int, kind string, started time.Time, random *rand.Rand) Run {
	a.number--
	b := &builder{at: started}
	b.Run.Run = history.Run{
		ID: id(i), Started: started, User: "deploy",
		Deployment: history.Deployment{Name: a.name, Version: fmt.Sprintf("2026.11.%d", a.number), Dest: a.dest,
			URL: "s3://deploys/" + a.name + ".yml"},
		Event: a.event, Result: history.Good, Step: "success", Trust: history.Trust{Policy: "none"},
		Process: history.Process{Log: "/var/lib/stretcher/logs/x.log", PID: 1},
	}
	b.say("stretcher 2.0.0: run %s: manifest %q from %s", b.ID, b.URL, b.Event)
	switch kind {
	case "skipped":
		b.end(history.Skipped, "", 0, "")
	case "refused":
		b.self("manifest", 130, 1)
		b.end(history.Refused, "manifest", 4, `manifest: "`+b.URL+`" is not signed by a trusted key`)
	case "rollback":
		b.Event = "rollback"
		b.Version = fmt.Sprintf("2026.11.%d", a.number-1)
		b.deploy(a, random, false)
		b.end(history.Good, "success", 0, "")
	case "died":
		b.before(a, random)
		b.end(history.Died, "sync", 0, "")
	case "failed":
		b.before(a, random)
		b.self("sync", 900, 0)
		b.command("post", "systemctl restart "+a.name, 1300, 1, restartFailed(a.name)...)
		b.end(history.Failed, "post", 1, `post: post command 1 "systemctl restart `+a.name+`": exit status 1`)
	default:
		b.deploy(a, random, kind == "went back")
		if kind != "went back" {
			b.end(history.Good, "success", 0, "")
		}
	}
	return b.Run
}

// id is that of the run i, which begins before those of smaller numbers.
func id(i int) string {
	return fmt.Sprintf("%08x-%04x-7a3c-9e1f-%012x", 0x01a20418-i, 0xffff-i, 0x5d2a7c319f00+int64(i))
}

const (
	rolledBack = 6 // the number of the run that somebody wanted to go back
	wasGood    = 5 // that of the run that the newest one went back to
)

// before is what comes before the sync.
func (b *builder) before(a *app, random *rand.Rand) {
	b.self("manifest", 60+random.IntN(90), 0)
	b.self("lock", 0, 0)
	b.self("fetch", 1800+random.IntN(4000), 0)
	b.say(`fetched "s3://deploys/%s-%s.tar.zst": 38 MiB, sha256 is right`, a.name, b.Version)
	b.command("pre", "/usr/local/bin/drain "+a.name, 400+random.IntN(900), 0, "draining "+a.name, "0 connections left")
	b.self("extract", 700+random.IntN(900), 0)
}

// deploy is a whole deployment, or one that fails in verify and goes back.
func (b *builder) deploy(a *app, random *rand.Rand, back bool) {
	b.before(a, random)
	b.self("sync", 300+random.IntN(700), 0)
	b.command("post", "systemctl restart "+a.name, 1500+random.IntN(2000), 0)
	verify := "curl -fsS --retry 20 --retry-delay 1 --retry-all-errors " + a.health
	if back {
		b.command("verify", verify, 20400, 22, unhealthy()...)
		b.self(history.WayBack, 40, 0)
		b.say("step \"verify\" has failed: going back to release %s", id(wasGood))
		b.command("post", "systemctl restart "+a.name, 1700, 0)
		b.Back = id(wasGood)
		b.command("failure", "/usr/local/bin/tell-chat", 240, 0)
		b.end(history.Failed, "verify", 1,
			`verify: verify command 1 "`+verify+`": exit status 22; switched back to release `+b.Back)
		return
	}
	b.command("verify", verify, 900+random.IntN(3000), 0, `{"status":"ok"}`)
	b.self("release", 5, 0)
	b.self("prune", 30, 0)
	b.command("success", "/usr/local/bin/tell-chat", 250, 0)
}

func unhealthy() (all []string) {
	for i := range 20 {
		all = append(all, fmt.Sprintf("curl: (22) The requested URL returned error: 503 (attempt %d of 20)", i+1))
	}
	return append(all, `{"status":"starting","waiting_for":"migrations","pending":["0042_add_invoices"]}`)
}

func restartFailed(name string) []string {
	return []string{
		"Job for " + name + ".service failed because the control process exited with error code.",
		`See "systemctl status ` + name + `.service" and "journalctl -xeu ` + name + `.service" for details.`,
	}
}

func (b *builder) say(format string, args ...any) {
	b.Text = fmt.Appendf(b.Text, "%s "+format+"\n", append([]any{b.at.Format("2006/01/02 15:04:05")}, args...)...)
}

func (b *builder) add(point, dialect, name string, took, exit int) {
	d := time.Duration(took) * time.Millisecond
	b.Steps = append(b.Steps, history.Step{Run: b.ID, Seq: len(b.Steps) + 1, Point: point, Dialect: dialect, Name: name,
		Started: b.at, Duration: d, Exit: exit, Offset: int64(len(b.Text))})
	b.at = b.at.Add(d)
}

// self is a step of the program itself.
func (b *builder) self(point string, took, exit int) { b.add(point, "stretcher", point, took, exit) }

func (b *builder) command(point, command string, took, exit int, output ...string) {
	b.add(point, "command", command, took, exit)
	b.say("%s: %s", point, command)
	for _, line := range output {
		b.say("%s", line)
	}
}

func (b *builder) end(result history.Result, step string, exit int, text string) {
	b.Result, b.Step, b.Exit, b.Error, b.Finished = result, step, exit, text, b.at
	if text != "" {
		b.say("error: %s", text)
	}
}

// Write writes the runs, newest first, into the state directory at path, which is
// made.
func Write(ctx context.Context, path string, runs []Run) error {
	dir, err := state.Open(path)
	if err != nil {
		return err
	}
	db, err := history.Open(ctx, dir.History(), history.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	for _, r := range slices.Backward(runs) {
		if err := db.Begin(ctx, r.Run); err != nil {
			return err
		}
		if err := db.Finish(ctx, r.Run, false, r.Steps...); err != nil {
			return err
		}
		if err := os.WriteFile(dir.Log(r.ID), r.Text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Details are the runs without their logs.
func Details(runs []Run) (all []history.Detail) {
	for _, r := range runs {
		all = append(all, r.Detail)
	}
	return all
}

// Lines is an Excerpter of the runs' logs, as a page asks for it.
func Lines(runs []Run) func(run string, from, to int64, n int) ([]string, bool, error) {
	return func(run string, from, to int64, n int) ([]string, bool, error) {
		for _, r := range runs {
			if r.ID != run {
				continue
			}
			if to < 0 {
				to = int64(len(r.Text))
			}
			all := strings.Split(string(bytes.TrimSuffix(r.Text[from:to], []byte("\n"))), "\n")
			return all[max(len(all)-n, 0):], len(all) > n, nil
		}
		return nil, false, os.ErrNotExist
	}
}
