package history

import (
	"fmt"
	"time"
)

// sampleNow is the time of the sample, in a zone of its own.
var sampleNow = time.Date(2026, 11, 22, 17, 45, 12, 0, time.FixedZone("CET", 3600))

// sample is a history such as a host has: two dests, some weeks, all results,
// newest first.
func sample() []Detail {
	runs := []Detail{
		sampleRun(1, Running, 40*time.Second, 0),
		sampleRun(2, Good, 3*time.Hour, 42*time.Second),
		sampleRun(3, Skipped, 3*time.Hour+time.Second, 0),
		sampleRun(4, Failed, 26*time.Hour, 95*time.Second),
		sampleRun(5, Died, 50*time.Hour, 12*time.Second),
		sampleRun(6, Refused, 74*time.Hour, 800*time.Millisecond),
	}
	for i := 7; i < 30; i++ {
		runs = append(runs, sampleRun(i, Good, time.Duration(i*i+30)*time.Hour, time.Duration(30+i)*time.Second))
	}
	runs[3].Error = `post command "systemctl restart app && curl -fsS localhost:8080/healthz" was killed after 1m0s`
	runs[3].Exit, runs[3].Step = 1, "post"
	runs[4].Step = "sync"
	runs[5].Exit, runs[5].Step, runs[5].Error = 4, "fetch", `manifest "s3://deploys/app.yml" has no valid signature`
	return runs
}

func sampleRun(i int, result Result, ago, took time.Duration) Detail {
	r := Run{
		ID:      fmt.Sprintf("0193%04x-5d2a-7c31-9f00-%012x", 0xffff-i, i),
		Started: sampleNow.Add(-ago), Result: result, User: "deploy",
		Deployment: Deployment{Name: "app", Version: fmt.Sprintf("2026.11.22-%d", 40-i),
			Dest: "/srv/app/current", URL: "s3://deploys/app/app.yml"},
		Event:   fmt.Sprintf("consul 6f9c1b7e-2f7a-4c5e-8a31-%012x", i),
		Process: Process{Log: fmt.Sprintf("/var/lib/stretcher/logs/%d.log", i)},
	}
	if i%4 == 0 {
		r.Name, r.Dest, r.Event = "billing-worker", "/srv/billing-worker", "argument"
	}
	if result != Running {
		r.Finished = r.Started.Add(took)
	}
	d := Detail{Run: r}
	if result == Skipped || result == Refused {
		return d
	}
	add := func(point, dialect, name string, at, took time.Duration) *Step {
		n := len(d.Steps) + 1
		d.Steps = append(d.Steps, Step{Run: r.ID, Seq: n, Point: point, Dialect: dialect, Name: name,
			Started: r.Started.Add(at), Duration: took, Offset: int64(n * 1000)})
		return &d.Steps[n-1]
	}
	add("pre_extract", "commands", "echo start", 2*time.Second, 80*time.Millisecond)
	add("post_extract", "p2", "20-warm-cache", 4*time.Second, 5*time.Second)
	if result == Died {
		return d
	}
	add("post_sync", "commands", "systemctl restart app && curl -fsS --retry 5 http://localhost:8080/healthz | "+
		"jq -e '.status == \"ok\" and .version != null' >/dev/null", 11*time.Second, 20*time.Second)
	if result == Failed {
		last := &d.Steps[2]
		last.Duration, last.Exit, last.Signal, last.TimedOut = time.Minute, -1, "SIGKILL", true
		add("finish", "commands", "mail -s failed ops@example.com", 92*time.Second, 2*time.Second).Exit = 127
	}
	return d
}
