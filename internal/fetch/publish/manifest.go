package publish

import (
	"cmp"
	"context"
	"fmt"

	"stretcher/internal/text/failure"
)

// Manifest publishes a manifest that brings no archive, and its signature.
func Manifest(ctx context.Context, o Options) (*Result, error) {
	r, err := newRun(o)
	if err != nil {
		return nil, err
	}
	name := cmp.Or(r.place.manifest, fmt.Sprintf("%s-%d.yml", r.title, r.About.Now.Unix()))
	text, err := r.Draft.With(r.about(), r.place.base+name, r.Signer != nil)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	res, err := r.send(ctx, nil, name, text)
	return res, failure.AsInterrupted(ctx, err)
}
