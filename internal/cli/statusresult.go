package cli

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"

	"stretcher/internal/event"
	"stretcher/internal/fleet"
	"stretcher/internal/journal/history"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
)

// neverDeployed is the result of a host where nothing has run.
const neverDeployed = "never"

// nodeName is what this host is called where nobody says it.
func nodeName(given string) string {
	host, _ := os.Hostname()
	return cmp.Or(given, host)
}

// heardOf is a run as a fleet hears of it.
func heardOf(r *history.Run, node string) fleet.Result {
	return fleet.Result{
		Name: r.Name, Version: r.Version, Run: r.ID, Node: node, Result: string(r.Result), Step: r.Step, Error: r.Error,
		Started: r.Started, Finished: r.Finished,
	}
}

// result is what a fleet hears of a dest: a run that goes on, else one that was refused
// since the last one, else the last one.
func (v verdict) result(node string) (r fleet.Result) {
	switch {
	case v.Going != nil:
		r = heardOf(v.Going, node)
	case len(v.refused) > 0:
		r = heardOf(&v.refused[0], node)
	case v.Last != nil:
		r = heardOf(v.Last, node)
	default:
		return fleet.Result{Node: node, Result: neverDeployed, Error: fmt.Sprintf("never deployed: %q", v.Dest)}
	}
	r.Runs, r.Mixed = v.held.Version, v.held.Mixed
	return r
}

// printResult prints what a fleet hears of a dest. That the history can't be read is
// a result, too.
func (o *statusOptions) printResult(v verdict, problem error) error {
	r := v.result(nodeName(o.node))
	if problem != nil {
		r = fleet.Result{Node: r.Node, Result: string(history.Failed), Error: failure.Text(problem)}
	}
	b, err := r.Encode()
	if err == nil {
		_, err = o.Stdout.Write(append(b, '\n'))
	}
	return err
}

// answerFleet tells how the last run of a name went, as an object that a reply has
// room for. The payload is the name.
func (o *rootOptions) answerFleet(ctx context.Context) ([]byte, error) {
	node := nodeName(o.Getenv("SERF_SELF_NAME"))
	r := fleet.Result{Node: node, Result: string(history.Failed)}
	payload, err := event.Drain(ctx, o.Stdin, maxPayload)
	name := strings.TrimSpace(string(payload))
	switch {
	case err != nil:
		r.Error = "read the query's payload: " + failure.Text(err)
	case name == "":
		r.Error = "the query's payload must be a name"
	default:
		if r, err = o.lastOf(ctx, name, node); err != nil {
			r = fleet.Result{Node: node, Result: string(history.Failed), Error: failure.Text(err)}
		}
	}
	return r.EncodeIn(max(o.replyRoom()-1, 512))
}

// lastOf is the last run of a name, or one since then that was refused before it had
// a name.
func (a *app) lastOf(ctx context.Context, name, node string) (r fleet.Result, err error) {
	r = fleet.Result{Name: name, Node: node, Result: neverDeployed, Error: fmt.Sprintf("never deployed: %q", name)}
	err = a.readHistory(ctx, history.Options{ReadOnly: true}, func(db *history.Store) error {
		runs, err := db.List(ctx, history.Filter{ByEnd: true})
		history.Judge(runs, process.Alive)
		dest := ""
		for i := range runs {
			own, nameless := runs[i].Name == name, runs[i].Name == "" && runs[i].Result == history.Refused
			if (own || nameless) && r.Run == "" && runs[i].Result != history.Skipped && !runs[i].FoundNothing() {
				r = heardOf(&runs[i], node)
			}
			if own && dest == "" {
				dest = runs[i].Dest
			}
		}
		held := history.HeldAt(dest, runs)
		r.Runs, r.Mixed = held.Version, held.Mixed
		return err
	})
	return r, err
}
