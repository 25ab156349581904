package history

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"stretcher/internal/disk"
)

// Export says how metrics get to where they are collected.
type Export struct {
	File    string // replaced as a whole; "" = none, they go to Writer
	Writer  io.Writer
	Version string // of the program
	Alive   Alive
	Turn    string // a directory that all who export this history lock meanwhile
	Limit   time.Duration

	// Unrecorded tells whether a run on a dest could not be recorded since. nil: none.
	Unrecorded func(dest string) bool
}

// metricsPerm lets anybody read the file: a collector is not who deploys.
const metricsPerm = 0o644

// errSlow is the error of a disk that does not answer.
var errSlow = errors.New("the disk has not answered in time")

// Export writes the metrics. A file is there as a whole or stays as it is: its
// temporary name begins with a dot and does not end in .prom, so that no collector
// reads it. Who comes later knows more and writes later. With a Limit, a disk that
// does not answer holds nobody up.
func (s *Store) Export(ctx context.Context, x Export) error {
	done := func() {}
	if x.File != "" {
		done = s.turn(ctx, x.Turn)
	}
	o, err := s.Overview(ctx, x.Alive)
	if err != nil {
		done()
		return err
	}
	for i := range o.Dests {
		o.Dests[i].Unrecorded = x.Unrecorded != nil && x.Unrecorded(o.Dests[i].Dest)
	}
	var text bytes.Buffer
	if err := WriteMetrics(&text, Metrics{o, filepath.Dir(s.path), x.Version, time.Now()}); err != nil {
		done()
		return err
	}
	if x.File == "" {
		done()
		_, err := text.WriteTo(x.Writer)
		return err
	}
	return within(x.Limit, func() error {
		defer done()
		return disk.PublishRegular(x.File, disk.Publication{
			Temp: ".stretcher-metrics-", Perm: metricsPerm, Exact: true,
			Write: func(w io.Writer) error {
				_, err := w.Write(text.Bytes())
				return err
			},
		})
	})
}

// within gives f some time; 0 = as much as it takes.
func within(limit time.Duration, f func() error) error {
	if limit <= 0 {
		return f()
	}
	said := make(chan error, 1)
	go func() { said <- f() }()
	select {
	case err := <-said:
		return err
	case <-time.After(limit):
		return errSlow
	}
}

// turn waits until nobody else exports, but no longer than for the database, and
// not where that can't be told: a file that is a moment old is better than none.
func (s *Store) turn(ctx context.Context, path string) (done func()) {
	dir, err := os.Open(path)
	if err != nil { // nothing has run here, or it is another user's
		return func() {}
	}
	_ = s.lockDir(ctx, dir)
	return func() { _ = dir.Close() }
}
