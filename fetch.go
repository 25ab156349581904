package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"

	"stretcher/internal/fetch/checksum"
	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/transfer"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
)

// stallLimit is how long a server may send nothing.
const stallLimit = 30 * time.Second

// transferOptions are those that hold for manifest and archive alike.
func (r *run) transferOptions() transfer.Options {
	return transfer.Options{
		Retries: r.opts.Retry,
		Wait:    r.opts.RetryWait,
		Stall:   stallLimit,
		Logger:  r.log.Logger,
	}
}

// withTimeout bounds a fetch, all its attempts and mirrors together, by
// --timeout.
func (r *run) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.opts.Timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, r.opts.Timeout, fmt.Errorf("not done after --timeout %s", r.opts.Timeout))
}

// memory is a transfer destination for small objects.
type memory struct{ bytes.Buffer }

// Reset forgets what has been written.
func (m *memory) Reset() error {
	m.Buffer.Reset()
	return nil
}

// fetchManifest returns the bytes of the manifest at url, at most limit of
// them. It asks allow before each request.
func (r *run) fetchManifest(ctx context.Context, url string, limit int64, allow func(string) error) ([]byte, error) {
	if err := store.Check(url); err != nil { // input, not a fetch that failed
		return nil, failure.Hinted(store.Hint(err), failure.Malformed("%w", err))
	}
	ctx, cancel := r.withTimeout(ctx)
	defer cancel()
	opts := r.transferOptions()
	opts.MaxBytes = limit
	var buf memory
	if _, err := transfer.Copy(ctx, r.store.Asking(allow), url, &buf, opts); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// allowSource returns what is asked before each request for the archive at
// first.
func (r *run) allowSource(first string) func(string) error {
	return func(next string) error {
		err := r.policy.Source(next)
		if err != nil && next != first {
			return failure.Hinted("the host policy must allow where a server redirects to as well: allow.sources", err)
		}
		return err
	}
}

// fetchArchive brings src to a local file whose checksum is right and returns
// its name. Until the checksum is known to be right the file's name says that
// it is unverified.
func (r *run) fetchArchive(ctx context.Context) (name string, err error) {
	err = r.eachMirror(ctx, func(ctx context.Context, src string) error {
		d := &download{create: r.unverified}
		defer d.discard()
		if err := r.fetchMirror(ctx, src, d); err != nil {
			return err
		}
		name, err = d.verified()
		return err
	})
	return name, err
}

// eachMirror tries the mirrors in order until fetch has succeeded with one.
func (r *run) eachMirror(ctx context.Context, fetch func(ctx context.Context, src string) error) error {
	ctx, cancel := r.withTimeout(ctx)
	defer cancel()
	var failures []error
	for _, src := range r.manifest.Src {
		r.src = redact.URL(src)
		err := fetch(ctx, src)
		if err == nil {
			return nil
		}
		failures = append(failures, err)
		if ctx.Err() != nil {
			break
		}
		if len(failures) < len(r.manifest.Src) {
			r.log.Warn(failure.Sayf("%v; trying the next mirror", err))
		}
	}
	if len(failures) == 1 {
		return failures[0]
	}
	last := failures[len(failures)-1]
	for _, err := range failures { // tampering weighs more than being out of reach
		if errors.Is(err, failure.ErrRefused) {
			last = err
		}
	}
	return fmt.Errorf("none of %d mirrors could be used: %w", len(r.manifest.Src), last)
}

// fetchMirror fetches src into d and checks it.
func (r *run) fetchMirror(ctx context.Context, src string, d *download) error {
	d.size, d.hash = -1, r.manifest.Checksum.New()
	bar := r.screen.Bar("fetch")
	defer bar.Close()
	opts := r.transferOptions()
	opts.Bandwidth = r.opts.MaxBandwidth
	opts.MaxBytes = int64(r.manifest.Limits.Archive)
	opts.OnSize = d.setSize
	opts.Progress = bar.Set
	began := time.Now()
	n, err := transfer.Copy(ctx, r.store.Asking(r.allowSource(src)), src, d, opts)
	if err != nil {
		return err
	}
	want := r.manifest.Checksum
	if sum := d.hash.Sum(nil); !bytes.Equal(sum, want.Digest) {
		return failure.Refused("%q has checksum %s, the manifest says %s", redact.URL(src), checksum.Checksum{Algorithm: want.Algorithm, Digest: sum}, want)
	}
	took := time.Since(began)
	r.log.Info(fmt.Sprintf("fetched %q: %s in %s, %s is right", redact.URL(src), humanize.IBytes(uint64(n)), took.Round(time.Millisecond), want.Algorithm),
		"bytes", n, "duration", took)
	return nil
}

// unverified makes the file for an archive of size bytes.
func (r *run) unverified(size int64) (*os.File, error) {
	parents := r.tempParents()
	if r.keepsArchive() && r.tmpdir == "" && size >= 0 { // where it is going to stay
		parents = append([]string{r.rec.State().Cache()}, parents...)
	}
	dir, err := r.workDirIn(parents, "archive", size)
	if err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(dir, "archive.unverified"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// download is the local file that an archive arrives in, hashed as it is
// written. It is made when its size is known or its first byte is there, in a
// place with room for it.
type download struct {
	create func(size int64) (*os.File, error)
	size   int64 // -1 = unknown
	hash   hash.Hash
	file   *os.File
	kept   bool
}

// setSize makes the file where it has room.
func (d *download) setSize(size int64) error {
	if d.size = size; d.file != nil {
		return nil
	}
	return d.open()
}

func (d *download) open() (err error) {
	d.file, err = d.create(d.size)
	return err
}

// Write appends to the file and the hash.
func (d *download) Write(p []byte) (int, error) {
	if d.file == nil {
		if err := d.open(); err != nil {
			return 0, err
		}
	}
	n, err := d.file.Write(p)
	d.hash.Write(p[:n])
	return n, err
}

// Reset forgets what has been written.
func (d *download) Reset() error {
	d.hash.Reset()
	if d.file == nil {
		return nil
	}
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return d.file.Truncate(0)
}

// verified gives the file its good name.
func (d *download) verified() (string, error) {
	if d.file == nil {
		if err := d.open(); err != nil {
			return "", err
		}
	}
	name := filepath.Join(filepath.Dir(d.file.Name()), "archive")
	if err := d.file.Close(); err != nil {
		return "", err
	}
	if err := os.Rename(d.file.Name(), name); err != nil {
		return "", err
	}
	d.kept = true
	return name, nil
}

// discard removes a file that has not become a verified one.
func (d *download) discard() {
	if d.file != nil && !d.kept {
		_ = d.file.Close()
		_ = os.RemoveAll(filepath.Dir(d.file.Name()))
	}
}
