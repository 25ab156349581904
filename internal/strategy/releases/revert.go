package releases

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"stretcher/internal/disk"
	"stretcher/internal/strategy"
	"stretcher/internal/text/failure"
)

// Holds tells whether the release that is live is good, and of the target's
// archive.
func (d *deployment) Holds() bool {
	if d.dir == nil {
		return false
	}
	all, err := d.dir.List()
	return err == nil && slices.ContainsFunc(all, func(r Release) bool {
		return r.ID == d.before && r.State == Good && r.Checksum == d.t.Checksum
	})
}

// live is the release that the run has made live, or has found live and has
// deployed nothing over.
func (d *deployment) live() string {
	if d.switched {
		return d.id
	}
	return d.before
}

// Accept marks the release that is live as good.
func (d *deployment) Accept(ctx context.Context) error {
	if d.goesBack() {
		d.leaveNewer()
	}
	err := d.dir.Mark(d.live(), Good, "")
	d.sweep(ctx)
	if err != nil {
		return fmt.Errorf("release %s: %w", d.live(), err)
	}
	return nil
}

// leaveNewer notes which releases have been rolled back from: the next
// rollback goes further back.
func (d *deployment) leaveNewer() {
	all, err := d.dir.List()
	left, rejoined := leftBy(all, d.live())
	for _, id := range left {
		err = also(err, d.dir.Leave(id, d.t.Run))
	}
	for _, id := range rejoined {
		err = also(err, d.dir.Mark(id, Good, ""))
	}
	if err != nil {
		d.t.Log.Warn(failure.Text(err))
	}
}

// leftBy tells what a rollback to live changes in what is noted of the good
// ones of all releases, newest first: those that are newer have been rolled
// back from; the others have not, whatever an earlier rollback noted.
func leftBy(all []Release, live string) (left, rejoined []string) {
	newer := true
	for _, r := range all {
		newer = newer && r.ID != live
		switch {
		case r.State != Good || r.RolledBack == newer:
		case newer:
			left = append(left, r.ID)
		default:
			rejoined = append(rejoined, r.ID)
		}
	}
	return left, rejoined
}

// sweep removes what killed runs have left among the releases, unless there
// are old ones: Prune does it then.
func (d *deployment) sweep(ctx context.Context) {
	if old, err := d.Old(); err != nil || len(old) > 0 {
		return
	}
	if _, err := d.dir.Prune(ctx, d.t.Releases.Keep, d.live()); err != nil && context.Cause(ctx) == nil {
		d.t.Log.Warn(failure.Sayf("clean-up of releases: %v", err))
	}
}

// Revert marks the release of a run that has failed, and switches back to the
// last good one if it is live.
func (d *deployment) Revert(_ context.Context, why string) (to string, err error) {
	d.failed = true
	if !d.hasChanged() {
		return "", nil
	}
	if d.added { // not one that was good before
		if err := d.dir.Mark(d.id, Bad, why); err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.t.Log.Warn(failure.Text(err))
		}
	}
	if !d.switched || d.t.Releases.Stay {
		return "", nil
	}
	all, err := d.dir.List()
	if err != nil {
		return "", d.stays(err)
	}
	to = lastGood(all, d.id, d.before)
	if to == "" {
		return "", d.stays(errors.New("there is no good one to go back to"))
	}
	// One rename: there is time for it, however late it is.
	if err = d.switchTo(to); !hasSwitched(err) {
		return "", d.stays(err)
	}
	return to, err
}

// hasChanged tells whether the run has made a release, or a part of one, or has
// switched to one.
func (d *deployment) hasChanged() bool { return d.added || d.switched }

// stays says that the release that has failed is live all the same.
func (d *deployment) stays(err error) error {
	return fmt.Errorf("release %s stays live: %w", d.id, err)
}

// lastGood is the release to go back to from one that has failed: the one
// that was live before, if it was good, or the newest sound one. all are
// newest first; "" is none.
func lastGood(all []Release, failed, before string) string {
	newest := ""
	for _, r := range all {
		switch {
		case r.ID == failed || r.State != Good:
		case r.ID == before:
			return r.ID
		case newest == "" && r.Sound():
			newest = r.ID
		}
	}
	return newest
}

// Old are the releases that Prune removes of a run that went well.
func (d *deployment) Old() ([]string, error) {
	return d.dir.Prunable(d.t.Releases.Keep, d.live())
}

// Prune removes old releases; after Revert, those that have failed, save the
// newest, for who looks for the reason. A run that has changed nothing before
// it failed removes nothing: how many good ones stay is for good runs to say.
func (d *deployment) Prune(ctx context.Context) ([]string, error) {
	if d.failed && !d.hasChanged() {
		return nil, nil
	}
	if d.failed {
		return d.dir.PruneBad(ctx, d.id)
	}
	return d.dir.Prune(ctx, d.t.Releases.Keep, d.live())
}

// deployments lists the releases at a dest.
func deployments(dest *disk.Dest) (strategy.Deployments, error) {
	d := In(dest, Options{})
	defer d.Close()
	found := strategy.Deployments{
		What: "releases and what they share", Names: []string{releasesName + "/", sharedName + "/", currentName},
	}
	all, err := d.List()
	if err != nil || len(all) == 0 {
		return found, err
	}
	found.Live, _, _ = d.Current() // broken or gone, there still are the others
	previous, _, err := d.Previous(found.Live)
	found.Previous = previous.ID
	for _, r := range all {
		found.Sure = found.Sure || r.Seq > 0 // an application may have a directory of that name
		found.All = append(found.All, strategy.Deployment{
			Run: r.ID, Name: r.Name, Version: r.Version, Good: r.State == Good, Left: r.RolledBack,
			State: strings.TrimSuffix(fmt.Sprintf("%s: %s", r.State, r.Reason), ": "),
		})
	}
	return found, err
}
