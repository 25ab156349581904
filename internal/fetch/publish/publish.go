// Package publish brings an archive to where hosts fetch it, with its index, a
// manifest that names both, and a signature.
//
// Its words: the target is the directory, or the prefix of a bucket, that they
// come to; the base is where hosts find it, by another URL perhaps; an object is
// what comes to lie there, under its file's name; the draft is the manifest as
// somebody has written it, which is told the rest.
//
// All is made and judged here before anything is sent. What a manifest names is
// sent before it, so that none names what is not there; and the name of an
// archive tells its digest, so that none names another one than it was made for.
// An object that is there already is not sent again.
//
// It imports archive and what lies below it, fetch/store, and leaves of text.
// Manifests, keys and the host's policy it knows by what it is handed.
package publish

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"stretcher/internal/text/failure"
	"stretcher/internal/text/progress"
	"stretcher/internal/text/yamldoc"
)

// Draft is a manifest that is yet to be told what it deploys.
type Draft interface {
	// Has tells whether it says anything of a key.
	Has(key string) bool
	// Value is what it says of a key, "" for nothing.
	Value(key string) string
	// With is the manifest for a URL, with these keys. One that every host would
	// refuse is an error; one that is signed must have more than others.
	With(entries []yamldoc.Entry, url string, signed bool) ([]byte, error)
	// IsManifest tells whether a text is a manifest.
	IsManifest(raw []byte) bool
	// Renews tells whether one manifest is another one with a serial that is no
	// lower, and another end.
	Renews(old, now []byte) bool
}

// Signer vouches for manifests.
type Signer interface {
	// Sign signs a message, and keeps the signatures that a document has by others.
	Sign(message io.Reader, comment string, document []byte) ([]byte, error)
	// HasSigned tells whether a document has a signature of this signer's by which
	// it vouches for the message.
	HasSigned(message, document []byte) bool
}

// Options says what is published, and where.
type Options struct {
	Source Source
	Draft  Draft
	About  About
	To     string // URL of the target, or of the manifest in it
	Base   string // URL that hosts find the target at; "" = To
	Signer Signer // nil = nobody signs

	Replace bool // a manifest that says something else may give way
	DryRun  bool // ask the target, and send nothing

	Store  Store
	Screen *progress.Screen
	Say    func(text string) // told of each step, for people
}

// About is what the manifest is to say besides what the archive makes of it. What
// is zero stays as the draft has it.
type About struct {
	Name, Version, Dest string
	Serial              int64
	Expires             time.Time
	Now                 time.Time // of the signature
}

// Object is what lies at the target.
type Object struct {
	URL  string `json:"url"` // that hosts ask for
	Size int64  `json:"size"`
	Sum  string `json:"sha256"`
	Sent bool   `json:"sent"` // by this call: it was not there
}

// Result is what was published.
type Result struct {
	Manifest  Object  `json:"manifest"`
	Archive   Object  `json:"archive"`
	Index     *Object `json:"index,omitempty"`
	Signature *Object `json:"signature,omitempty"`
	Text      []byte  `json:"-"` // of the manifest
	Version   string  `json:"-"` // that it says; "" = none
}

// run is one call of Publish.
type run struct {
	Options
	place place
	title string // of the archive's file, without digest and ending
	blind bool   // the target does not answer, and nothing is going to be sent
}

// Publish makes an archive and publishes it. The error is failure.ErrRefused
// where another manifest lies there.
func Publish(ctx context.Context, o Options) (*Result, error) {
	r, err := newRun(o)
	if err != nil {
		return nil, err
	}
	if _, err := r.manifest("archive", &product{}); err != nil { // before the work is done
		return nil, err
	}
	made, err := r.Source.make(ctx, r)
	if err != nil {
		return nil, failure.AsInterrupted(ctx, err)
	}
	defer made.close()
	res, err := r.publish(ctx, made)
	return res, failure.AsInterrupted(ctx, err)
}

func newRun(o Options) (r *run, err error) {
	r = &run{Options: o}
	if r.place, err = parsePlace(o.To, o.Base); err == nil {
		err = r.checkPlace()
	}
	if err != nil {
		return nil, err
	}
	a := &r.About
	name := cmp.Or(a.Name, o.Draft.Value("name"), o.Source.name())
	if a.Name == "" && !o.Draft.Has("name") {
		a.Name = name
	}
	a.Version = cmp.Or(a.Version, o.Draft.Value("version"))
	if r.title, err = fileTitle(r.place.manifest, name, a.Version); err != nil {
		return nil, err
	}
	r.settle(name)
	return r, nil
}

// signedFor is how long a signed manifest holds that is not told.
const signedFor = 90 * 24 * time.Hour

// settle chooses what a manifest must say and nobody has said.
func (r *run) settle(name string) {
	if r.About.Dest == "" && !r.Draft.Has("dest") {
		last := r.title
		if fileName(name) != "" {
			last = fileWord(name)
		}
		r.About.Dest = "/srv/" + last
		r.Say(fmt.Sprintf("warning: nobody says where hosts deploy it: dest is %q", r.About.Dest))
	}
	if r.Signer == nil {
		return
	}
	if r.About.Serial == 0 && !r.Draft.Has("serial") {
		r.About.Serial = r.About.Now.Unix()
		r.Say(fmt.Sprintf("the serial of a signed manifest is the time, where nobody says another: %d", r.About.Serial))
	}
	if r.About.Expires.IsZero() && !r.Draft.Has("expires") {
		r.About.Expires = r.About.Now.Add(signedFor)
		r.Say(fmt.Sprintf("a signed manifest expires in 90 days, where nobody says another time: %s",
			r.About.Expires.UTC().Format(time.RFC3339)))
	}
}

// product is an archive, with what is known of it.
type product struct {
	file    *os.File // without a name
	size    int64
	sum     [sha256.Size]byte
	ending  string // of a file's name
	index   []byte // nil = there is none
	entries int64  // 0 = not known
	bytes   int64  // of content; 0 = not known
}

func (p *product) close() { _ = p.file.Close() }

// names of what lies at the target.
func (r *run) archiveName(p *product) string {
	return fmt.Sprintf("%s-%s%s", r.title, hex.EncodeToString(p.sum[:6]), p.ending)
}

// describe says what was packed.
func (r *run) describe(p *product) {
	text := fmt.Sprintf("archive of %s", humanize.IBytes(uint64(p.size)))
	if p.entries > 0 {
		text = fmt.Sprintf("%s, %s: %s",
			english.Plural(int(p.entries), "entry", "entries"), humanize.IBytes(uint64(p.bytes)), text)
	}
	if p.index != nil {
		text += fmt.Sprintf(", index of %s", humanize.IBytes(uint64(len(p.index))))
	}
	r.Say(text)
}
