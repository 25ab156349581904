package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"stretcher/internal/archive"
	"stretcher/internal/cli"
	"stretcher/internal/disk"
	"stretcher/internal/disk/tree"
	"stretcher/internal/fetch/store"
	stores "stretcher/internal/fetch/store/all"
	"stretcher/internal/fetch/transfer"
	"stretcher/internal/hooks"
	"stretcher/internal/hooks/all"
	"stretcher/internal/hooks/porter"
	"stretcher/internal/journal/history"
	"stretcher/internal/journal/serial"
	"stretcher/internal/manifest"
	"stretcher/internal/manifest/past"
	"stretcher/internal/policy"
	"stretcher/internal/policy/explain"
	"stretcher/internal/policy/verdict"
	"stretcher/internal/strategy"
	strategies "stretcher/internal/strategy/all"
	"stretcher/internal/text/failure"
	"stretcher/internal/trust"
)

// Spec is what a run deploys: a manifest, and what has been settled by it.
type Spec struct {
	*manifest.Loaded                   // nil before it is known
	Past             *past.Past        // what a rollback goes back to; nil for a deployment
	Dest             *disk.Dest        // as it was opened; nil before
	Strategy         strategy.Strategy // nil before dest was opened
	Hooks            *all.Set          // nil = none, or none yet
}

// specOf is what is known of a rollback at its start: dest.
func specOf(back *past.Past) Spec {
	return Spec{Past: back, Loaded: &manifest.Loaded{Manifest: &manifest.Manifest{Dest: back.Dest}}}
}

// hasDest tells whether there is something to lock. Without src, dest has not
// been checked and v1.x's users may have written anything there.
func (s Spec) hasDest() bool { return filepath.IsAbs(s.Manifest.Dest) }

// hasSrc tells whether there is something to deploy. A rollback always has,
// if only a release whose manifest is not known.
func (s Spec) hasSrc() bool { return len(s.Src) > 0 || s.Past != nil }

// isSwitch tells whether the run goes back to a deployment that stands at dest:
// there is nothing to fetch.
func (s Spec) isSwitch() bool { return s.Past != nil && s.Past.Standing != "" }

// live is the directory that the deployed tree is in.
func (s Spec) live() string {
	if s.Strategy == nil {
		return s.Manifest.Dest
	}
	return s.Strategy.Live()
}

// withLive opens the directory that the deployed tree is in, for as long as f
// works with it.
func (s Spec) withLive(f func(live *os.Root) error) error {
	dir, err := s.Strategy.OpenLive()
	if err != nil {
		return err
	}
	defer dir.Close()
	return f(dir.Root())
}

// keeps is what a rollback to this deployment will need.
func (s Spec) keeps() strategy.Keeps {
	if s.Strategy == nil {
		return strategy.Nothing
	}
	return s.Strategy.Keeps()
}

// hookLists are the manifest's hooks, but for those that make the tree where
// that stands at dest already: a release is as they have made it once.
func (s Spec) hookLists() porter.Lists {
	if !s.isSwitch() {
		return s.Manifest.Hooks
	}
	lists := maps.Clone(s.Manifest.Hooks)
	for _, name := range lists.MakeTree() {
		delete(lists, name)
	}
	return lists
}

// provider gets what is deployed: manifests and archives, from where an event
// says or from what has been kept.
type provider struct {
	*tools
	left *tree.Ahead // of dest, read while the archive comes; nil = when it is needed
}

// load makes what an event names a spec, if the host policy lets it.
func (p provider) load(ctx context.Context, url string) (Spec, error) {
	return p.loadBy(ctx, p.loader(manifestRules()), url)
}

// loadBy is load by a loader of one's own. The spec is there without the
// host's consent, too, once the manifest is known.
func (p provider) loadBy(ctx context.Context, load *manifest.Loader, url string) (Spec, error) {
	loaded, err := load.Load(ctx, url)
	if err != nil {
		return Spec{}, err
	}
	p.vouch(loaded)
	s := Spec{Loaded: loaded}
	if err = p.settle(s); err != nil && !p.report.Wanted() {
		return s, err
	}
	return s, cmp.Or(err, p.stale(p.report.Ask(p.isFresh(s))))
}

// isFresh are the questions whether a manifest is too old, as far as that can
// be told without the lock. They change nothing.
func (p provider) isFresh(s Spec) (list []verdict.Question) {
	if !s.Expires.IsZero() {
		list = append(list, verdict.Question{
			Rule: "expires", Subject: s.Expires.String(), Why: "it is " + p.now.UTC().Format(time.RFC3339) + " here",
			Ask: func() error { return s.CheckExpiry(p.now) },
		})
	}
	if s.Serial > 0 && !s.Guessed("serial", "") {
		list = append(list, verdict.Question{
			Rule: "serial", Subject: s.Serial.String(), Why: p.tellFloor(s.Name),
			Ask: func() error { return p.compareSerial(s) },
		})
	}
	return list
}

// tellFloor says what a report is to be told that a serial is compared with.
func (p provider) tellFloor(name string) string {
	if !p.report.Wanted() {
		return ""
	}
	return p.serials().Tell(name)
}

// compareSerial refuses what is older than what the host has had. It raises
// nothing.
func (p provider) compareSerial(s Spec) error { return p.serials().Compare(s.Name, int64(s.Serial)) }

// isLate tells whether what the host has refused is, or may be, too old for it.
func (p provider) isLate(s Spec) bool {
	return cmp.Or(p.settings.StateError, s.CheckExpiry(time.Now()), p.compareSerial(s)) != nil
}

// readKeys reads the keys that must vouch for manifests, if the policy names any.
// A run that has waited reads them again: one may have been taken away.
func (t *tools) readKeys() error {
	dir, _, signed := t.policy.Signed()
	if !signed {
		return nil
	}
	keys, err := trust.LoadKeys(cmp.Or(t.settings.Keys, dir))
	if err == nil {
		t.keys = keys
	}
	return err
}

// compareNow refuses what is not to be run any more: a key was taken away, or it
// has expired, or a newer one has come. It raises nothing.
func (p provider) compareNow(s Spec) error {
	err := p.readKeys()
	if err == nil {
		err = p.vouchAgain(s)
	}
	return cmp.Or(err, s.CheckExpiry(time.Now()), p.compareSerial(s))
}

// vouchAgain asks the keys that count now for a manifest's signatures.
func (p provider) vouchAgain(s Spec) error {
	if p.keys == nil {
		return nil
	}
	return p.loader(manifestRules()).Vouch(s.Loaded)
}

// isNews tells whether a manifest that keys vouch for has a higher serial than all
// that the host has had of its name. Nobody is told anything else of it.
func (p provider) isNews(ctx context.Context, url string) (bool, error) {
	t, f := *p.tools, *p.fetcher
	f.Transfer.Retries, t.fetcher = 0, &f
	load := provider{tools: &t}.loader(manifestRules())
	load.Warn = func(string) {}
	loaded, err := load.Load(ctx, url)
	if err != nil {
		return false, err
	}
	return p.serials().IsNews(loaded.Name, int64(loaded.Serial))
}

// raiseSerial is compareNow for a deployment, which has the lock, and the keys that
// count since: what is not refused counts as had from here on.
func (p provider) raiseSerial(ctx context.Context, s Spec, now time.Time) error {
	if err := p.stale(cmp.Or(p.vouchAgain(s), s.CheckExpiry(now))); err != nil || s.Serial == 0 && p.keys == nil {
		return err
	}
	claim := serial.Claim{Name: s.Name, Serial: int64(s.Serial)}
	for _, signer := range s.Signers {
		claim.Keys = append(claim.Keys, signer.ID)
	}
	return p.stale(p.serials().Raise(ctx, claim))
}

// serials are what the host has had.
func (p provider) serials() *serial.Judge {
	j := &serial.Judge{
		Store: serial.At(p.settings.StateDir), Broken: p.settings.StateError,
		Warn: func(text string) { p.log.Warn(text) },
	}
	if p.keys != nil {
		j.Trusted = p.keys.Has
	}
	return j
}

// stale takes the dest out of the row of a run whose manifest is too old: whoever
// may send events could make a dest look bad by what was signed for it once.
func (p provider) stale(err error) error {
	if errors.Is(err, failure.ErrRefused) && !failure.IsNotYet(err) {
		p.journal.Describe(func(row *history.Run) { row.Dest = "" })
	}
	return err
}

// loader is the way to a manifest.
func (p provider) loader(rules manifest.Rules) *manifest.Loader {
	_, threshold, _ := p.policy.Signed()
	return &manifest.Loader{
		Policy:    p.policy,
		Fetch:     p.fetchManifest,
		Keys:      p.keys,
		Threshold: threshold,
		Signature: p.fetchSignature,
		Lookup:    os.LookupEnv,
		Secret:    p.keepSecret,
		Mask:      p.log.Masked,
		Warn:      func(text string) { p.log.Warn(text) },
		Rules:     rules,
	}
}

// keepSecret masks the value of a variable, unless it is what others know the host by.
func (p provider) keepSecret(name, value string) {
	if value != p.settings.Node {
		p.log.Mask(name, value)
	}
}

// fetchManifest fetches a manifest.
func (p provider) fetchManifest(
	ctx context.Context, url string, limit int64, allow func(url string) error,
) ([]byte, error) {
	raw, err := p.fetcher.Document(ctx, url, limit, allow)
	if errors.Is(err, transfer.ErrTooLarge) && limit == int64(p.policy.Limits.Manifest) {
		err = p.policy.Said(err, "limits.manifest")
	}
	return raw, err
}

// byLimit adds to an error where the host policy says so, when an archive is
// more than it allows.
func (s Spec) byLimit(host *policy.Policy, err error) error {
	if s.Loaded == nil || cli.Hint(err) != "" {
		return err
	}
	var rules []string
	for _, l := range []struct {
		cause error
		rule  string
		holds bool
	}{
		{transfer.ErrTooLarge, "limits.archive", s.Limits.Archive == host.Limits.Archive},
		{archive.ErrBytes, "limits.unpacked", s.Limits.Unpacked == host.Limits.Unpacked},
		{archive.ErrEntries, "limits.files", s.Limits.Files == host.Limits.Files},
		{archive.ErrUnsafe, "extract", host.Extract == policy.Strict},
	} {
		if l.holds && errors.Is(err, l.cause) {
			rules = append(rules, l.rule)
		}
	}
	return host.Said(err, rules...)
}

// fetchSignature fetches a signature document. That there is none refuses the
// manifest, and the event may be handed over again.
func (p provider) fetchSignature(
	ctx context.Context, url string, limit int64, allow func(url string) error,
) ([]byte, error) {
	document, err := p.fetcher.Document(ctx, url, limit, allow)
	switch {
	case err == nil, cli.Status(err) == cli.ExitRefused, context.Cause(ctx) != nil:
		return document, err
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrDenied):
		err = failure.Hinted("stretcher sign makes one; the event is not used up and may be handed over again",
			failure.Refused("not signed: %w", err))
	default:
		err = fmt.Errorf("signature: %w", err)
	}
	return nil, failure.NotYet(err)
}

// vouch says who vouches for a manifest.
func (p provider) vouch(loaded *manifest.Loaded) {
	if p.keys == nil {
		return
	}
	var files []string
	for _, s := range loaded.Signers {
		files = append(files, s.File)
		p.log.Info(fmt.Sprintf("manifest %q is signed by %q: %q", loaded.URL, s.File, s.TrustedComment))
	}
	p.journal.Describe(func(row *history.Run) { row.Signers = strings.Join(files, ", ") })
}

// manifestRules are what others know of a manifest's values.
func manifestRules() manifest.Rules {
	rules := manifest.Rules{Src: checkSrc, Shared: strategies.CheckShared}
	for _, s := range strategies.List() {
		rules.Kinds = append(rules.Kinds, manifest.Kind{
			Name: s.Name, Sections: s.Sections, Patterns: s.Patterns, Default: s.Default,
			Prunes: s.Deployments != nil,
		})
	}
	return rules
}

// checkSrc tells whether an archive can be fetched from a URL at all.
func checkSrc(url string) error {
	err := stores.List().CheckArchive(url)
	if err == nil {
		return nil
	}
	return failure.Hinted(store.Hint(err), err)
}

// settle settles how a manifest is deployed, if the host policy lets it.
func (p provider) settle(s Spec) error {
	m := s.Manifest
	if m.SyncStrategy == "" {
		name, why := strategies.List().Settle()
		if m.SyncStrategy = name; why != "" && len(m.Src) > 0 {
			p.log.Info(why)
		}
	}
	p.journal.Describe(func(row *history.Run) {
		row.Name, row.Version, row.Dest = p.log.Masked(m.Name), p.log.Masked(m.Version), m.Dest
		row.Serial = int64(m.Serial)
	})
	s.Restrict(p.policy)
	list := p.questions(s)
	if s.Rollout == nil && s.Past == nil { // who goes back here alone needs no group for that
		list = append(list, explain.Questions(p.policy.Ask(policy.Rollout, ""))...)
	}
	return p.report.Ask(list)
}

// questions are what is asked about every manifest, deployed or not, in order.
func (p provider) questions(s Spec) (list []verdict.Question) {
	list = explain.Questions(s.Rulings(p.policy))
	if s.hasSrc() && s.hasDest() && !s.Guessed("dest", s.Manifest.Dest) {
		list = append(list, p.apart(s.Manifest.Dest, disk.WayTo(s.Manifest.Dest))...)
	}
	return list
}

// loadAllowed is load for a manifest that is not deployed.
func (p provider) loadAllowed(ctx context.Context, url string, rules manifest.Rules) (Spec, error) {
	loaded, err := p.loader(rules).Load(ctx, url)
	if err != nil {
		return Spec{}, fmt.Errorf("manifest: %w", err)
	}
	p.vouch(loaded)
	s := Spec{Loaded: loaded}
	s.Restrict(p.policy)
	return s, p.report.Ask(append(p.questions(s), p.isFresh(s)...))
}

// masked keeps secrets out of an error that no log says.
func (t *tools) masked(err error) error {
	if err == nil {
		return nil
	}
	return failure.Hinted(cli.Hint(err), failure.Retold(t.log.Masked(failure.Text(err)), err))
}

// never says why a deployment of the manifest does not come to a point, "" where
// it may.
func (s Spec) never(p hooks.Point) string {
	if p != hooks.PrePrune && p != hooks.PostPrune {
		return ""
	}
	if !s.hasSrc() {
		return "there is no src"
	}
	name := s.SyncStrategy
	if name == "" {
		name, _ = strategies.List().Settle()
	}
	if d, _ := strategies.List().Find(name); d.Deployments == nil {
		return fmt.Sprintf("sync_strategy %s keeps nothing that is removed", name)
	}
	return ""
}
