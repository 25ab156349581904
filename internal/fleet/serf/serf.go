// Package serf asks hosts by Serf how a rollout went: by a query that is named fleet,
// whose payload is the name, and which each host answers with its result. stretcher
// as a handler of queries does so.
//
// It asks by the program serf, which reaches the agent by its own variables
// SERF_RPC_ADDR and SERF_RPC_AUTH. A reply is sent once, by UDP: who is alive and has
// not answered is asked again.
//
// It imports fleet, internal/process and internal/text.
package serf

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// Options say how to ask.
type Options struct {
	Timeout time.Duration // of each question; 0 = as Serf has it
}

const (
	rounds      = 3         // so often a host is asked
	maxAnswers  = 128 << 20 // bytes that the program may print: 100 000 answers, each as long as may be
	maxFilter   = 400       // bytes of the names of those who are asked again; a query has little room
	maxSaid     = 4096      // bytes of what it says of an error
	moreForSerf = 20 * time.Second
)

// Ask asks all hosts of the cluster for what they say of a name. Members are those of
// the cluster, also those that have failed; those that have left are not.
func Ask(ctx context.Context, name string, o Options) (h fleet.Heard, err error) {
	alive, all, err := members(ctx)
	if err != nil {
		return h, err
	}
	h.Members = all
	answers := map[string]string{}
	for range rounds {
		silent := missing(alive, answers)
		if len(silent) == 0 {
			break
		}
		if err := query(ctx, name, o, silent, answers); err != nil {
			return h, err
		}
	}
	h.Results = results(answers)
	return h, nil
}

// results are what hosts say, by the names that the cluster knows them by, whatever they
// say themselves.
func results(answers map[string]string) (all []fleet.Result) {
	for node, text := range answers {
		r, err := fleet.DecodeResult([]byte(strings.TrimSpace(text)))
		if err != nil {
			r = fleet.Result{Result: "failed", Error: "its answer can't be read: " + failure.Text(err)}
		}
		r.Node = node
		all = append(all, r)
	}
	return all
}

// missing are those who have not answered.
func missing(alive []string, answers map[string]string) (silent []string) {
	for _, node := range alive {
		if _, ok := answers[node]; !ok {
			silent = append(silent, node)
		}
	}
	return silent
}

// members are the nodes of the cluster.
func members(ctx context.Context) (alive, all []string, err error) {
	var out struct {
		Members []struct{ Name, Status string }
	}
	if err := run(ctx, 0, &out, "members", "-format", "json"); err != nil {
		return nil, nil, err
	}
	for _, m := range out.Members {
		switch m.Status {
		case "alive":
			alive, all = append(alive, m.Name), append(all, m.Name)
		case "failed":
			all = append(all, m.Name)
		}
	}
	return alive, all, nil
}

// query asks those, as far as a query has room for their names, else all.
func query(ctx context.Context, name string, o Options, silent []string, answers map[string]string) error {
	args := []string{"query", "-format", "json", "-relay-factor", "1"}
	if o.Timeout > 0 {
		args = append(args, "-timeout", o.Timeout.String())
	}
	if len(answers) > 0 && len(strings.Join(silent, "")) <= maxFilter {
		for _, node := range silent {
			args = append(args, "-node", node)
		}
	}
	var out struct{ Responses map[string]string }
	if err := run(ctx, o.Timeout, &out, append(args, "fleet", name)...); err != nil {
		return err
	}
	for node, text := range out.Responses {
		answers[node] = text
	}
	return nil
}

// run runs serf and reads the JSON that it prints.
func run(ctx context.Context, timeout time.Duration, to any, args ...string) error {
	out, errs := &limited{left: maxAnswers}, &limited{left: maxSaid}
	limit := time.Duration(0)
	if timeout > 0 {
		limit = timeout + moreForSerf
	}
	_, err := process.Run(ctx, process.Command{
		Path: "serf", Args: args, Timeout: limit,
		Stdout: out, Stderr: errs,
	})
	var start *process.StartError
	switch {
	case errors.As(err, &start):
		return failure.Hinted("Serf's program serf must be in PATH", err)
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil:
		err = fmt.Errorf("serf %s: %w: %s", args[0], err, said(errs, out))
		return failure.Hinted("SERF_RPC_ADDR says where the agent is", err)
	case out.more:
		return fmt.Errorf("serf %s: its answer has more than %d bytes", args[0], maxAnswers)
	}
	if err := json.Unmarshal(out.text.Bytes(), to); err != nil {
		return fmt.Errorf("serf %s: its answer is not JSON: %w: %s", args[0], err, said(errs, out))
	}
	return nil
}

// said is what serf has said, in one line.
func said(errs, out *limited) string {
	begin := out.text.Bytes()[:min(out.text.Len(), maxSaid)]
	return printable.Cut(strings.Join(strings.Fields(errs.text.String()+" "+string(begin)), " "), 300)
}

// limited takes the beginning of what is written.
type limited struct {
	text bytes.Buffer
	left int
	more bool // there was more
}

// Write drops what is too much.
func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	l.more = l.more || n < len(p)
	_, err := l.text.Write(p[:n])
	return len(p), err
}
