package main

import (
	"context"
	"os"
	"time"

	"stretcher/internal/disk"
	"stretcher/internal/fetch"
	"stretcher/internal/fetch/transfer"
	"stretcher/internal/text/failure"
)

// stallLimit is how long a server may send nothing.
const stallLimit = 30 * time.Second

// fetcher fetches as the flags say and the host policy allows. An archive
// arrives in the best of the places that hold it.
func (r *run) fetcher(places func(size int64) []string) *fetch.Fetcher {
	return &fetch.Fetcher{
		Store: r.store,
		Transfer: transfer.Options{
			Retries: r.opts.Retry,
			Wait:    r.opts.RetryWait,
			Stall:   stallLimit,
			Logger:  r.log.Logger,
		},
		Bandwidth: r.opts.MaxBandwidth,
		Timeout:   r.opts.Timeout,
		Log:       r.log.Logger,
		Screen:    r.screen,
		Unnamed:   func(size int64) (*os.File, error) { return r.unnamed(size, places(size)) },

		AllowSource: r.allowSource,
		Trying:      func(source string) { r.src = source },
	}
}

// fetchArchive brings the archive here, to the file that is unpacked.
func (r *run) fetchArchive(ctx context.Context) error {
	got, err := r.fetcher(r.archivePlaces).Archive(ctx, r.manifest.Src, r.manifest.Checksum, int64(r.manifest.Limits.Archive))
	if err != nil {
		return err
	}
	r.archive = got.File
	return nil
}

// allowSource is asked before each request for the archive at first.
func (r *run) allowSource(first, next string) error {
	err := r.policy.Source(next)
	if err != nil && next != first {
		return failure.Hinted("the host policy must allow where a server redirects to as well: allow.sources", err)
	}
	return err
}

// archivePlaces are the directories that may hold an archive of size bytes,
// the best first: the cache, when it is going to stay there.
func (r *run) archivePlaces(size int64) []string {
	places := r.tempParents()
	if r.keepsArchive() && r.tmpdir == "" && size >= 0 {
		places = append([]string{r.rec.State().Cache()}, places...)
	}
	return places
}

// unnamed makes a file without a name for an archive.
func (r *run) unnamed(size int64, candidates []string) (*os.File, error) {
	w := disk.Wanted{What: "archive", Size: size, Candidates: candidates, State: r.statePath()}
	if r.dest != nil && r.dest.Parent != nil { // what is wrong with it is said elsewhere
		w.Dest = r.dest
	}
	place, err := disk.Private(w)
	if err != nil {
		return nil, err
	}
	defer place.Close()
	return disk.Unnamed(place.Root())
}
