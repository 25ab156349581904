package publish

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"stretcher/internal/fetch/store"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
	"stretcher/internal/text/yamldoc"
)

// What is published besides an archive, by its name's ending.
const (
	indexEnding     = ".idx"
	signatureEnding = ".minisig"
)

// binary is the content type of what is no text.
const binary = "application/octet-stream"

// What items are, as people are told.
const (
	archiveItem   = "archive"
	indexItem     = "index"
	signatureItem = "signature"
	manifestItem  = "manifest"
	// signaturesItem holds while a manifest is replaced: those of both.
	signaturesItem = "signatures"
)

// item is an object on its way.
type item struct {
	name string
	what string // for people
	kind string // of its content, as HTTP has it
	body io.ReaderAt
	size int64
	sum  [sha256.Size]byte

	keeps   bool   // what is there, if it is another one
	vouches []byte // what a signature is of
}

func document(name, what, kind string, data []byte) *item {
	return &item{name: name, what: what, kind: kind, body: bytes.NewReader(data), size: int64(len(data)),
		sum: sha256.Sum256(data)}
}

// publish sends what is not there: what the manifest names before it.
func (r *run) publish(ctx context.Context, p *product) (*Result, error) {
	name := r.archiveName(p)
	items := []*item{{name: name, what: archiveItem, kind: binary, body: p.file, size: p.size, sum: p.sum}}
	if p.index != nil {
		items = append(items, document(name+indexEnding, indexItem, binary, p.index))
	}
	text, err := r.manifest(name, p)
	if err != nil {
		return nil, err
	}
	return r.send(ctx, items, r.manifestName(name, p), text)
}

// send sends a manifest with its signature, after what it names.
func (r *run) send(ctx context.Context, items []*item, name string, text []byte) (*Result, error) {
	m := document(name, manifestItem, "application/yaml", text)
	was, err := r.judgeManifest(ctx, m, text)
	if err != nil {
		return nil, err
	}
	if r.Signer == nil {
		return r.bringAll(ctx, append(items, m), text)
	}
	both, alone, err := r.signatures(ctx, m.name, text, was)
	switch {
	case err != nil:
		return nil, err
	case both == nil || r.DryRun:
		return r.bringAll(ctx, append(items, alone, m), text)
	}
	return r.bringAll(ctx, append(items, both, m, alone), text)
}

// bringAll sends items in their order.
func (r *run) bringAll(ctx context.Context, items []*item, text []byte) (res *Result, err error) {
	res = &Result{Text: text, Version: r.About.Version}
	var vouching *item
	for _, it := range items {
		obj := Object{URL: r.place.base + it.name, Size: it.size, Sum: hex.EncodeToString(it.sum[:])}
		if obj.Sent, err = r.bring(ctx, it); err != nil {
			return nil, err
		}
		switch it.what {
		case archiveItem:
			res.Archive = obj
		case indexItem:
			res.Index = &obj
		case signaturesItem: // another one is to come
		case signatureItem:
			res.Signature, vouching = &obj, it
		default:
			res.Manifest = obj
		}
	}
	if vouching != nil && res.Manifest.Sent {
		err = r.arrived(ctx, vouching)
	}
	return res, err
}

// manifest is the draft with all that is known now.
func (r *run) manifest(archive string, p *product) ([]byte, error) {
	set := r.about()
	set = append(set, yamldoc.Entry{Key: "src", Value: r.place.base + archive},
		yamldoc.Entry{Key: "checksum", Value: hex.EncodeToString(p.sum[:])})
	if p.index != nil {
		sum := sha256.Sum256(p.index)
		set = append(set, yamldoc.Entry{Key: "index", Value: "sha256:" + hex.EncodeToString(sum[:])})
	} else if r.Draft.Has("index") { // that of another archive
		set = append(set, yamldoc.Entry{Key: "index"})
	}
	text, err := r.Draft.With(set, r.place.base+cmp.Or(r.place.manifest, "manifest.yml"), r.Signer != nil)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return text, nil
}

// about is what the manifest says besides, where the draft does not.
func (r *run) about() (set []yamldoc.Entry) {
	a := r.About
	for _, e := range []yamldoc.Entry{{Key: "name", Value: a.Name}, {Key: "version", Value: a.Version},
		{Key: "dest", Value: a.Dest}} {
		if e.Value != "" && e.Value != r.Draft.Value(e.Key) {
			set = append(set, e)
		}
	}
	if a.Serial > 0 {
		set = append(set, yamldoc.Entry{Key: "serial", Value: a.Serial})
	}
	if !a.Expires.IsZero() {
		set = append(set, yamldoc.Entry{Key: "expires", Value: a.Expires.UTC().Format(time.RFC3339)})
	}
	return set
}

// manifestName is that of the manifest's file: by its version, else by its serial,
// else by the archive.
func (r *run) manifestName(archive string, p *product) string {
	switch {
	case r.place.manifest != "":
		return r.place.manifest
	case r.About.Version != "":
		return r.title + ".yml"
	case r.About.Serial > 0:
		return fmt.Sprintf("%s-%d.yml", r.title, r.About.Serial)
	case fileName(r.Draft.Value("serial")) != "":
		return fmt.Sprintf("%s-%s.yml", r.title, fileWord(r.Draft.Value("serial")))
	}
	return archive[:len(archive)-len(p.ending)] + ".yml"
}

// judgeManifest refuses to put a manifest in the place of another one, unless that
// says the same with an older serial or an earlier end, and never in the place of
// what is none. It tells what is there.
func (r *run) judgeManifest(ctx context.Context, m *item, text []byte) (was found, err error) {
	m.keeps = !r.Replace
	was, err = r.look(ctx, m)
	if err != nil || was != other {
		return was, err
	}
	before, err := r.read(ctx, m.name)
	switch {
	case err != nil:
	case !r.Draft.IsManifest(before): // --to may lead anywhere
		err = failure.Hinted("remove it if that is not so", failure.Refused("%q is there already, and is no manifest",
			redact.URL(r.place.base+m.name)))
	case !r.Replace && !r.Draft.Renews(before, text):
		err = r.another(m)
	}
	m.keeps = false
	return was, err
}

// another is the error of a manifest that would take the place of another one.
func (r *run) another(m *item) error {
	return failure.Hinted("give it another --version, or replace it by --replace",
		failure.Refused("%q is there already, and says something else", redact.URL(r.place.base+m.name)))
}

// signatures makes the signature document. That of the same manifest is kept if
// the signer has signed it already, and so are those by others. Where the manifest
// replaces another one, both is a document for each of them, so that at no moment a
// manifest is there without a signature of it.
func (r *run) signatures(ctx context.Context, manifest string, text []byte, was found) (both, alone *item, err error) {
	name := manifest + signatureEnding
	var before []byte
	if was != none {
		before, err = r.read(ctx, name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, nil, err
		}
	}
	if was == same && len(before) > 0 && r.Signer.HasSigned(text, before) {
		return nil, vouching(name, signatureItem, before, text), nil
	}
	kept := before
	if was == other {
		kept = nil
	}
	comment := fmt.Sprintf("timestamp:%d\tfile:%s\thashed", r.About.Now.Unix(), manifest)
	made, err := r.Signer.Sign(bytes.NewReader(text), comment, kept)
	if err != nil {
		return nil, nil, err
	}
	alone = vouching(name, signatureItem, made, text)
	joined := slices.Concat(bytes.TrimRight(before, "\r\n"), []byte("\n"), made)
	if was == other && len(before) > 0 && r.Signer.HasSigned(text, joined) {
		both = vouching(name, signaturesItem, joined, text)
	}
	return both, alone, nil
}

// vouching is a signature document on its way.
func vouching(name, what string, data, message []byte) *item {
	it := document(name, what, "text/plain", data)
	it.vouches = message
	return it
}

// bring sends an item, unless it is there.
func (r *run) bring(ctx context.Context, it *item) (sent bool, err error) {
	found, err := r.look(ctx, it)
	if err != nil {
		return false, err
	}
	shown, size := redact.URL(r.place.to+it.name), humanize.IBytes(uint64(it.size))
	switch {
	case found == other && it.keeps:
		return false, r.another(it)
	case found == same:
		r.Say(fmt.Sprintf("%s is there: %q, %s", it.what, shown, size))
		return false, nil
	case r.DryRun:
		r.Say(fmt.Sprintf("%s would be sent: %q, %s", it.what, shown, size))
		return false, nil
	case found == other && it.what == archiveItem:
		r.Say(fmt.Sprintf("warning: what is at %q is not what it is called after, and is replaced", shown))
	}
	switch err := r.put(ctx, it, found == none); {
	case errors.Is(err, store.ErrExists):
		return false, r.overtaken(ctx, it, err)
	case err != nil:
		return false, fmt.Errorf("%s: %w", it.what, err)
	}
	if err := r.arrived(ctx, it); err != nil {
		return false, err
	}
	r.Say(fmt.Sprintf("%s sent: %q, %s", it.what, shown, size))
	return true, nil
}

// overtaken is the error of an object that somebody else has put there meanwhile;
// nil where it is the same, or a signature of the same.
func (r *run) overtaken(ctx context.Context, it *item, err error) error {
	if it.vouches != nil && r.vouched(ctx, it) == nil {
		return nil
	}
	found, lerr := r.look(ctx, it)
	switch {
	case lerr != nil:
		return lerr
	case found == same:
		return nil
	}
	return failure.Refused("%s: somebody else publishes by this name: %w", it.what, err)
}

// put sends an item; a new one never in the place of another.
func (r *run) put(ctx context.Context, it *item, isNew bool) error {
	if err := r.place.make(); err != nil {
		return err
	}
	bar := r.Screen.Bar("upload " + it.what)
	defer bar.Close()
	return r.Store.Put(ctx, r.place.to+it.name, it.body, it.size, store.PutOptions{
		SHA256: it.sum, ContentType: it.kind, New: isNew,
		Progress: func(done int64) { bar.Set(done, it.size) },
	})
}
