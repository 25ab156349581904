package journal

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/journal/trace"
	"stretcher/internal/text/failure"
)

// way is the steps that a run has come through, as its trace shows them.
type way struct {
	visits []visit                 // in the order in which they began
	told   map[string]trace.SpanID // of steps to come of which children have been told
	trace  *trace.Trace            // nil = the run is not traced
}

// visit is one stay in a step. A run may come to a step more than once: it runs
// post commands again when it goes back.
type visit struct {
	step string
	span trace.SpanID
	rows []history.Step // that have ended in it
}

// enter begins a visit.
func (w *way) enter(step string) {
	w.visits = append(w.visits, visit{step: step, span: w.told[step]})
	delete(w.told, step)
}

// last is the last visit of a step; nil = there was none.
func (w *way) last(step string) *visit {
	for i := len(w.visits) - 1; i >= 0; i-- {
		if w.visits[i].step == step {
			return &w.visits[i]
		}
	}
	return nil
}

// add notes what has ended in a step.
func (w *way) add(step string, s history.Step) {
	if v := w.last(step); v != nil {
		v.rows = append(v.rows, s)
	}
}

// context is the variable by which children find the span of a step that the run is
// in, or comes to next.
func (w *way) context(now, step string) string {
	if v := w.last(step); v != nil && now == step {
		v.span = cmp.Or(v.span, w.trace.NewID())
		return w.trace.Context(v.span)
	}
	if w.told == nil {
		w.told = map[string]trace.SpanID{}
	}
	w.told[step] = cmp.Or(w.told[step], w.trace.NewID())
	return w.trace.Context(w.told[step])
}

// Traced begins the trace of a run, where the environment wants one; version is that
// of the program.
func (r *record) Traced(run string, began time.Time, version string) {
	if !trace.IsOn(os.Getenv) {
		return
	}
	for name, values := range trace.Secrets(os.Getenv) {
		for _, value := range values {
			r.log.Mask(name, value)
		}
	}
	var err error
	r.way.trace, err = trace.Begin(trace.Run{ID: run, Version: version, Began: began}, os.Getenv)
	if err != nil {
		r.log.Warn(failure.Sayf("no trace of this run: %v", err))
		return
	}
	for _, odd := range r.way.trace.Odd {
		r.log.Warn(failure.Sayf("the trace of this run: %s", odd))
	}
}

// TraceContext is the variables by which what runs in a step finds its span; none
// where the run is not traced. The step may be one to come.
func (r *record) TraceContext(step string) []string {
	if r.way.trace == nil {
		return nil
	}
	return []string{r.way.context(r.run.Step, step)}
}

// afterEnd is what an export may take of a run that was interrupted.
const afterEnd = 2 * time.Second

// Export sends the trace of a run that has been concluded: what was a deployment, a
// rollback or a fetch. That it can't be sent is a warning: the run's result stands.
func (r *record) Export(ctx context.Context, what string) {
	if r.way.trace == nil || r.run.Finished.IsZero() || r.run.Result == history.Skipped {
		return
	}
	if ctx.Err() != nil {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterEnd)
		defer cancel()
		ctx = within
	}
	span := r.span()
	span.Name = "stretcher " + what
	if err := r.way.trace.Export(ctx, span); err != nil {
		r.log.Warn(failure.Sayf("the trace of this run is lost: %v", err))
	}
}

// span is the run as a trace has it: below it the steps, and below each of them the
// commands and hooks that ran there. All of it is what the history has.
func (r *record) span() trace.Span {
	run := r.run
	s := trace.Span{
		Began: run.Started, Ended: run.Finished, Failed: run.Result != history.Good, Why: run.Error,
		Attributes: []trace.Attribute{
			{Key: "stretcher.run_id", Value: run.ID},
			{Key: "stretcher.name", Value: run.Name},
			{Key: "stretcher.version", Value: run.Version},
			{Key: "stretcher.dest", Value: run.Dest},
			{Key: "stretcher.url", Value: run.URL},
			{Key: "stretcher.event", Value: run.Event},
			{Key: "stretcher.user", Value: run.User},
			{Key: "stretcher.result", Value: string(run.Result)},
			{Key: "stretcher.step", Value: run.Step},
			{Key: "stretcher.exit", Value: run.Exit},
			{Key: "stretcher.back", Value: run.Back},
		},
	}
	for _, v := range r.way.visits {
		if len(v.rows) == 0 {
			continue
		}
		below := v.spans()
		if s.Failed && v.step == run.Step {
			below.Failed, below.Why = true, run.Error
		}
		s.Below = append(s.Below, below)
	}
	return s
}

// spans is a step with what ran there. A step of the process has a row of its own;
// a point is as long as what ran at it.
func (v visit) spans() trace.Span {
	s := trace.Span{ID: v.span, Name: v.step, Attributes: []trace.Attribute{{Key: "stretcher.step", Value: v.step}}}
	for _, row := range v.rows {
		ended := row.Started.Add(row.Duration)
		if s.Began.IsZero() || row.Started.Before(s.Began) {
			s.Began = row.Started
		}
		if ended.After(s.Ended) {
			s.Ended = ended
		}
		if row.Dialect == DialectSelf {
			s.Failed = s.Failed || !row.OK()
			continue
		}
		s.Below = append(s.Below, childSpan(row, ended))
	}
	return s
}

// maxTitle is how much of a command is the name of its span, in bytes.
const maxTitle = 80

// title is the beginning of a command's first line, or the name of a hook.
func title(name string) string {
	name, _, _ = strings.Cut(name, "\n")
	if len(name) > maxTitle {
		name = strings.ToValidUTF8(name[:maxTitle], "")
	}
	return name
}

// childSpan is a command or hook.
func childSpan(row history.Step, ended time.Time) trace.Span {
	s := trace.Span{
		Name: title(row.Name), Began: row.Started, Ended: ended, Failed: !row.OK(),
		Attributes: []trace.Attribute{
			{Key: "stretcher.point", Value: row.Point},
			{Key: "stretcher.stage", Value: row.Stage},
			{Key: "stretcher.dialect", Value: row.Dialect},
			{Key: "stretcher.command", Value: row.Name},
			{Key: "stretcher.source", Value: row.Source},
			{Key: "stretcher.signal", Value: row.Signal},
			{Key: "stretcher.timed_out", Value: row.TimedOut},
		},
	}
	switch {
	case row.Why != "":
		s.Why = row.Why
	case row.TimedOut:
		s.Why = "timed out"
	case row.Signal != "":
		s.Why = "ended by " + row.Signal
	case row.Exit > 0:
		s.Why = fmt.Sprintf("exit status %d", row.Exit)
	}
	if row.Signal == "" && row.Exit >= 0 {
		s.Attributes = append(s.Attributes, trace.Attribute{Key: "stretcher.exit", Value: row.Exit})
	}
	return s
}
