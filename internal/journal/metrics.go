package journal

import (
	"context"
	"sync/atomic"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
)

// meter measures what a run costs.
type meter struct{ bytes atomic.Int64 }

// Fetched counts what the run fetches. It is written with what comes next.
func (m *meter) Fetched() *atomic.Int64 { return &m.bytes }

// measure writes down what a run has cost by now.
func (m *meter) measure(run *history.Run) {
	run.Elapsed, run.Fetched = max(time.Since(run.Started), 0), m.bytes.Load()
}

// metricsTime is how long a run waits at its end for the disk to take metrics.
const metricsTime = 10 * time.Second

// ExportMetrics writes how things stand with all dests to a file; "" = to none.
// Failing at that fails nothing.
func ExportMetrics(j *Journal, file, version string) {
	if file == "" || j.db == nil {
		return
	}
	x := history.Export{
		File: file, Version: version, Alive: process.Alive, Turn: j.dir.Locks(), Limit: metricsTime,
		Unrecorded: j.dir.Unknown,
	}
	if err := j.db.Export(context.Background(), x); err != nil {
		j.log.Warn(failure.Sayf("metrics: %v", err))
	}
}
