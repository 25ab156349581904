package cli

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stretcher/internal/archive/pack"
	"stretcher/internal/fetch/publish"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// packOptions are those of stretcher pack.
type packOptions struct {
	*app
	passwords
	pack        PackOptions
	template    string
	key         string
	from        string
	serial      string
	expires     string
	compress    string
	exclude     []string
	excludeFrom []string
	json        bool
}

func newPack(a *app) *cobra.Command {
	o := &packOptions{app: a, passwords: passwords{app: a}, compress: "gzip"}
	c := newCommand(&cobra.Command{
		Use:   "pack DIR --to URL/",
		Short: "publish a directory: archive, index and manifest; print its URL",
		Long: `Packs a directory and publishes it: an archive, which is the same whoever packs
the same files, an index of it, and a manifest that names both, signed with
--sign. What the manifest names is sent before it, and what is there already is
not sent again. Standard output gets the manifest's URL and nothing else.

URL is s3://BUCKET/PREFIX/, gs://BUCKET/PREFIX/, az://ACCOUNT/CONTAINER/PREFIX/,
file:///DIR/ or, of a server that takes PUT, http(s)://HOST/PATH/. With NAME.yml
at its end that is the manifest's name. The manifest is the FILE of --manifest
with src, checksum and index set, and what other flags say. Where nobody says
dest, it is /srv/NAME.`,
		Example: `stretcher pack build --to s3://deploys/app/ --version 1.2.3 --manifest app.yml
stretcher pack --from app-1.2.3.tgz --to gs://deploys/app/ --manifest app.yml
url=$(stretcher pack build --to s3://deploys/app/) &&
  consul event -name deploy "$url"`,
		RunE: a.runs(o.run),
	})
	o.declare(c.Flags())
	return c
}

func (o *packOptions) declare(f *pflag.FlagSet) {
	p := &o.pack.Publish
	f.Var(&textValue{&p.To, "URL"}, "to", "where it is published")
	f.Var(&textValue{&p.Base, "URL"}, "public-url", "where hosts find that, if not by the URL of --to")
	f.Var(&textValue{&o.template, "FILE"}, "manifest",
		"what the manifest says besides; its comments stay (- is standard input)")
	f.Var(&textValue{&p.About.Name, "TEXT"}, "name", "the manifest's name (default: FILE's, or that of DIR)")
	f.Var(&textValue{&p.About.Version, "TEXT"}, "version", "the manifest's version (default: FILE's)")
	f.Var(&textValue{&p.About.Dest, "DIR"}, "dest", "the manifest's dest (default: FILE's, or /srv/NAME)")
	f.Var(&textValue{&o.serial, "N|now"}, "serial",
		"the manifest's serial; now is the time in seconds (default with --sign)")
	f.Var(&textValue{&o.expires, "TIME"}, "expires",
		"when the manifest ends: 2027-01-31T00:00:00Z, or a time from now, as 30d or 12h (default with --sign: 90d)")
	f.Var(&textValue{&o.key, "FILE"}, "sign", "secret key to sign the manifest with, as keygen makes it")
	o.passwords.declare(f)
	f.Var(&choiceValue{&o.compress, []string{"gzip", "zstd"}}, "compress", "how the archive is compressed")
	f.BoolVar(&p.Source.Pack.Owners, "owners", false, "keep owners and groups, by number; all is root's else")
	f.Var(&listValue{&o.exclude, "PATTERN"}, "exclude", "leave out what matches, as .gitignore does; may be repeated")
	f.Var(&listValue{&o.excludeFrom, "FILE"}, "exclude-from", "leave out by the patterns in a file; may be repeated")
	f.Var(&textValue{&o.from, "ARCHIVE"}, "from", "publish this archive instead of a directory")
	f.BoolVar(&p.Replace, "replace", false, "replace a manifest of that name that says something else")
	f.BoolVar(&p.DryRun, "dry-run", false, "ask the target and send nothing; print the manifest")
	f.BoolVar(&o.json, "json", false, "print one JSON object: what was published, and what of it was sent")
	o.pack.Progress = "auto"
	f.Var(&choiceValue{&o.pack.Progress, []string{"auto", "never"}}, "progress",
		"auto shows on a terminal how far a step is, never does not")
	for _, name := range []string{"manifest", "sign", "exclude-from", "from"} {
		asFile(f, name)
	}
}

func (o *packOptions) run(ctx context.Context, args []string) (int, error) {
	err := o.check(args)
	if err == nil {
		err = o.publish(ctx, args)
	}
	return Status(err), err
}

// check refuses what can't be meant, before anything is read.
func (o *packOptions) check(args []string) (err error) {
	p := &o.pack.Publish
	p.About.Now = time.Now()
	switch {
	case o.from != "" && len(args) > 0:
		return failure.Usage("pack expects DIR or --from ARCHIVE, not both")
	case o.from == "" && len(args) != 1:
		return failure.Usage("pack expects one DIR, got %d arguments", len(args))
	case o.from == "" && args[0] == "":
		return failure.Usage("DIR is empty")
	case p.To == "" && !o.line.has("to"):
		return failure.Usage("pack expects --to URL/")
	case o.from != "" && len(o.exclude)+len(o.excludeFrom) > 0:
		return failure.Usage("--exclude leaves out of a directory, and --from is an archive")
	case o.from != "" && (o.line.has("owners") || o.line.has("compress")):
		return failure.Usage("--owners and --compress say how a directory is packed, and --from is an archive")
	case slices.Contains(o.exclude, ""):
		return failure.Usage("--exclude expects a pattern")
	case o.key == "" && o.line.has("password-file"):
		return failure.Usage("--password-file expects --sign, whose key has a password")
	case strings.ContainsAny(o.key, "\r\n"):
		return failure.Usage("--sign is the name of a file, and was given several lines")
	}
	if err := o.checkTexts(); err != nil {
		return err
	}
	if p.To, err = dirURL(p.To); err == nil {
		err = o.checkFreshness()
	}
	if err == nil {
		p.Source.Pack.Time, err = sourceDate(o.Getenv("SOURCE_DATE_EPOCH"))
	}
	if o.compress == "zstd" {
		p.Source.Pack.Compression = pack.Zstd
	}
	return err
}

// checkTexts refuses texts that are given and empty, as of "$VARIABLE", and those
// that are no text.
func (o *packOptions) checkTexts() error {
	for _, name := range []string{"to", "public-url", "manifest", "name", "version", "dest", "serial", "expires",
		"sign", "from", "exclude-from"} {
		text := o.line.command.Flags().Lookup(name).Value.String()
		switch {
		case text == "" && o.line.has(name):
			return failure.Usage("--%s is empty", name)
		case printable.Line(text) != text:
			return failure.Usage("--%s %q has what can't be printed", name, text)
		}
	}
	return nil
}

func (o *packOptions) checkFreshness() (err error) {
	about := &o.pack.Publish.About
	if about.Serial, err = parseSerial(o.serial, about.Now); err == nil {
		about.Expires, err = parseExpiry(o.expires, about.Now)
	}
	return err
}

// publish reads what is named, publishes it, and prints where.
func (o *packOptions) publish(ctx context.Context, args []string) (err error) {
	p := &o.pack.Publish
	if o.template != "" {
		if o.pack.Template, err = o.readTemplate(ctx); err != nil {
			return err
		}
		if o.pack.TemplateFile = o.template; o.template == "-" {
			o.pack.TemplateFile = "standard input"
		}
	}
	skip, err := o.excludes(ctx)
	if err != nil {
		return err
	}
	p.Source.Pack.Skip = skip
	if o.from != "" {
		err = p.Source.OpenArchive(o.from)
	} else {
		err = p.Source.OpenDir(args[0])
	}
	if err != nil {
		return err
	}
	defer p.Source.Close()
	if o.key != "" {
		key, err := o.passwords.secret(ctx, o.key)
		if err != nil {
			return err
		}
		p.Signer = key
	}
	o.pack.Settings = o.settings(o.pack.Settings)
	res, err := o.actions.Pack(ctx, o.pack)
	if err != nil {
		return err
	}
	return o.print(res)
}

// print says where the manifest is.
func (o *packOptions) print(res *publish.Result) (err error) {
	switch {
	case o.json:
		err = printable.EncodeJSON(o.Stdout, res)
	case o.pack.Publish.DryRun:
		_, err = o.Stdout.Write(res.Text)
	default:
		_, err = fmt.Fprintln(o.Stdout, res.Manifest.URL)
	}
	return err
}

// readTemplate reads the manifest that is to be completed.
func (o *packOptions) readTemplate(ctx context.Context) ([]byte, error) {
	name := o.template
	if name == "-" {
		name = "/dev/stdin"
	}
	if name == "/dev/stdin" {
		name = "/dev/fd/0"
	}
	data, _, err := readAtMost(ctx, name, o.actions.MaxManifest)
	return data, err
}

// maxExcludes bounds a file with patterns, in bytes.
const maxExcludes = 1 << 20

// excludes are the patterns of files, and then those of the command line, which
// have the last word.
func (o *packOptions) excludes(ctx context.Context) (func(string, bool) bool, error) {
	var patterns []string
	for _, name := range o.excludeFrom {
		data, _, err := readAtMost(ctx, name, maxExcludes)
		if err != nil {
			return nil, err
		}
		text := strings.TrimPrefix(string(data), "\ufeff") // as some editors begin a file, and git skips it
		for line := range strings.SplitSeq(text, "\n") {
			patterns = append(patterns, strings.TrimSuffix(line, "\r"))
		}
	}
	skip, err := pack.Excludes(append(patterns, o.exclude...))
	if err != nil {
		return nil, failure.Usage("%w", err)
	}
	return skip, nil
}

// isSlashless tells whether an argument begins like a URL that lacks a slash. A
// directory with such a name is named by ./ before it.
func isSlashless(arg string) bool {
	u, err := url.Parse(arg)
	return err == nil && u.Scheme != "" && strings.HasPrefix(u.Path, "/")
}

// dirURL is the URL of a target, which may be named as a directory.
func dirURL(arg string) (string, error) {
	if strings.Contains(arg, "://") {
		return arg, nil
	}
	if strings.HasPrefix(arg, "file:") || isSlashless(arg) {
		return "", failure.Usage("--to %q is no URL: a directory is named by its path, or by file:///absolute/path/", arg)
	}
	dir, err := fileURL(arg)
	return strings.TrimSuffix(dir, "/") + map[bool]string{true: "/"}[!isManifest(arg)], err
}

func isManifest(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".yml" || ext == ".yaml"
}
