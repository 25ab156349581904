package publish

import (
	"context"
	"errors"
	"fmt"

	"stretcher/internal/fetch/store"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
)

// arrived finds out whether what a server has taken is there: one that says yes to
// whatever it is asked does not store it. What HEAD says is no reason for an error,
// since hosts ask by GET.
func (r *run) arrived(ctx context.Context, it *item) error {
	if it.what == signatureItem || it.what == signaturesItem {
		return r.vouched(ctx, it)
	}
	is, err := r.look(ctx, it)
	if err == nil && is != same {
		is, err = r.content(ctx, it)
	}
	shown := redact.URL(r.place.to + it.name)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", it.what, err)
	case is == none:
		return fmt.Errorf("%s: %q is not there, and the server has taken it", it.what, shown)
	case is == other && it.what == manifestItem:
		return r.lost(it)
	case is == other:
		return fmt.Errorf("%s: what is at %q is not what the server has taken", it.what, shown)
	}
	return nil
}

// vouched finds out whether a signature of the manifest is there: another call that
// replaces both may have come between.
func (r *run) vouched(ctx context.Context, it *item) error {
	document, err := r.read(ctx, it.name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("%s: %q is not there, and the server has taken it", it.what, redact.URL(r.place.to+it.name))
	case err != nil:
		return fmt.Errorf("%s: %w", it.what, err)
	case !r.Signer.HasSigned(it.vouches, document):
		return r.lost(it)
	}
	return nil
}

// lost is the error of a name that somebody else has taken.
func (r *run) lost(it *item) error {
	return failure.Hinted("publish once more", failure.Refused("%s: somebody else publishes by this name", it.what))
}
