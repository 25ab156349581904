package policy

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stretcher/internal/disk"
	"stretcher/internal/text/failure"
)

const (
	maxFile    = 1 << 20 // bounds a file of the policy, in bytes
	maxDropIns = 1000    // bounds their number
)

// Load reads the host policy at name, and its drop-ins. Without any of them
// there are no restrictions, unless must says that name has been asked for.
// Any doubt about a file, and whether somebody else may have changed it or
// taken it away, is an error that wraps ErrRefused: a policy that is not
// understood must not be taken for one that allows.
func Load(name string, must bool) (*Policy, error) {
	p := &Policy{}
	err := p.read(name)
	if errors.Is(err, fs.ErrNotExist) && !must {
		err = nil
	}
	if err != nil {
		return nil, doubt(name, err, must)
	}
	dir := dropInDir(name)
	files, err := dropIns(dir)
	if err != nil {
		return nil, doubt(dir, err, false)
	}
	for _, file := range files {
		if err := p.read(file); err != nil {
			return nil, doubt(file, err, false)
		}
	}
	return p.whole(name)
}

// Parse is Load for the bytes of one file.
func Parse(name string, data []byte) (*Policy, error) {
	p := &Policy{}
	if err := p.add(name, data); err != nil {
		return nil, doubt(name, err, false)
	}
	return p.whole(name)
}

// read adds the layer that is in a file.
func (p *Policy) read(name string) error {
	f, err := disk.OpenTrusted(name)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("larger than %d bytes", maxFile)
	}
	if err != nil {
		return err
	}
	return p.add(name, data)
}

// dropInDir is the directory of drop-ins of a policy file: config.d of
// config.yml.
func dropInDir(name string) string { return strings.TrimSuffix(name, filepath.Ext(name)) + ".d" }

// dropIns lists the files in a directory that count, in the order of their
// names.
func dropIns(dir string) (files []string, err error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	open, err := disk.OpenTrustedDir(abs)
	if errors.Is(err, fs.ErrNotExist) {
		if dangles(dir) {
			return nil, errors.New("is a symlink that leads nowhere")
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer open.Close()
	names, err := open.File().Readdirnames(maxDropIns + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(names) > maxDropIns {
		return nil, fmt.Errorf("more than %d files", maxDropIns)
	}
	slices.Sort(names)
	for _, name := range names {
		counts, err := isDropIn(name)
		if err != nil {
			return nil, err
		}
		if counts {
			files = append(files, filepath.Join(dir, name))
		}
	}
	return files, nil
}

// isDropIn tells whether a file counts by its name. One that its author may
// take for one that counts is an error.
func isDropIn(name string) (bool, error) {
	ext := filepath.Ext(name)
	switch {
	case strings.HasPrefix(name, "."): // hidden, as from a shell's *.yml
		return false, nil
	case ext == ".yml":
		return true, nil
	case ext == "" && numbered(name):
		return false, fmt.Errorf("%q does not count: only names that end in .yml do", name)
	case slices.Contains([]string{".yml", ".yaml", ".conf", ".json"}, strings.ToLower(ext)):
		return false, fmt.Errorf("%q does not count: only names that end in .yml do", name)
	}
	return false, nil
}

// numbered tells whether a name has a number before it, as those of files that
// are read in order: 50-web. 4913 is vim's, to try whether it can write.
func numbered(name string) bool {
	rest := strings.TrimLeft(name, "0123456789")
	return rest != name && rest != "" && !strings.HasSuffix(rest, "~")
}

// dangles tells whether there is a symlink where nothing is: a policy was
// meant to be there.
func dangles(name string) bool {
	f, err := disk.OpenRegular(name, os.O_RDONLY, 0)
	if err == nil { // since then
		_ = f.Close()
	}
	return !errors.Is(err, fs.ErrNotExist)
}

// doubt is the error of a policy that can't be obeyed.
func doubt(name string, err error, must bool) error {
	hint := failure.Hint(err)
	if must && errors.Is(err, fs.ErrNotExist) {
		hint = "--config must name a file that is there; without it, " + Default + " counts where there is one"
	}
	return failure.Hinted(hint, fmt.Errorf("%w: config %q: %w", ErrRefused, name, err))
}

// add adds a layer: it tightens what has an order, and adds what has none,
// once.
func (p *Policy) add(name string, data []byte) error {
	l, err := parse(name, data)
	if err == nil {
		err = cmp.Or(p.contradicts(l), p.contradictsHTTP(l))
	}
	if err != nil {
		return err
	}
	p.Limits = p.limits(l.Limits)
	p.Extract = p.Extract.Tighter(l.Extract)
	p.Fetch.Connections = smaller(p.Fetch.Connections, l.Fetch.Connections)
	p.RequireState = p.RequireState || l.RequireState
	p.Rollout = p.Rollout.Tightest(l.Rollout)
	p.Hooks.add(l.Hooks)
	p.History.Keep = cmp.Or(p.History.Keep, l.History.Keep)
	p.History.JSON = cmp.Or(p.History.JSON, l.History.JSON)
	p.History.Log = cmp.Or(p.History.Log, l.History.Log)
	p.Cache.Archives = cmp.Or(p.Cache.Archives, l.Cache.Archives)
	p.Cache.Size = cmp.Or(p.Cache.Size, l.Cache.Size)
	p.Metrics = cmp.Or(p.Metrics, string(l.Metrics))
	p.runAs = cmp.Or(p.runAs, string(l.RunAs))
	p.trust.Keys = cmp.Or(p.trust.Keys, l.trust().Keys)
	if n := l.trust().Threshold; n != nil && (p.trust.Threshold == nil || *n > *p.trust.Threshold) {
		p.trust.Threshold = n
	}
	p.layers = append(p.layers, l)
	return nil
}

// limits are the tighter of those that hold and those of a further layer.
func (p *Policy) limits(l Limits) Limits {
	t := p.Limits.Tightest(l)
	t.Rate = p.Limits.Rate
	switch rate := l.Rate; {
	case rate == nil:
	case len(p.layers) == 0:
		t.Rate = rate
	case int64(*rate) > p.Limits.LeastRate():
		t.Rate = rate
	}
	return t
}

// whole judges what only all layers together can be wrong in.
func (p *Policy) whole(name string) (*Policy, error) {
	for _, l := range p.layers {
		if l.Trust != nil && p.trust.Keys == "" {
			return nil, doubt(name, fmt.Errorf("trust, %s: no trust.keys says which keys count", l.place("trust")), false)
		}
	}
	if err := p.Hooks.check(); err != nil {
		return nil, doubt(name, err, false)
	}
	p.name, p.RequireState = name, p.RequireState || p.trust.Keys != ""
	return p, nil
}

// setting is a key that has no tighter and no looser value.
type setting struct {
	key   string
	value func(File) string // "" = it is not set
}

// settings are the keys that may be set once.
func settings() []setting {
	list := func(l List) string {
		if l == nil {
			return ""
		}
		return fmt.Sprintf("%q", l)
	}
	number := func(n int64) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprint(n)
	}
	return []setting{
		{"trust.keys", func(f File) string { return string(f.trust().Keys) }},
		{"run_as", func(f File) string { return string(f.RunAs) }},
		{"history.keep", func(f File) string { return number(int64(f.History.Keep)) }},
		{"history.json", func(f File) string { return string(f.History.JSON) }},
		{"history.log", func(f File) string { return number(int64(f.History.Log)) }},
		{"metrics", func(f File) string { return string(f.Metrics) }},
		{"cache.archives", func(f File) string {
			if f.Cache.Archives == nil {
				return ""
			}
			return fmt.Sprint(*f.Cache.Archives)
		}},
		{"cache.size", func(f File) string {
			if f.Cache.Size == nil {
				return ""
			}
			return fmt.Sprint(*f.Cache.Size)
		}},
		{"hooks.engine", func(f File) string { return string(f.Hooks.Engine) }},
		{"hooks.engine_args", func(f File) string { return list(f.Hooks.EngineArgs) }},
		{"hooks.build_args", func(f File) string { return list(f.Hooks.BuildArgs) }},
		{"hooks.run_args", func(f File) string { return list(f.Hooks.RunArgs) }},
	}
}

// contradicts tells whether a layer sets what another one has set otherwise.
func (p *Policy) contradicts(l layer) error {
	for _, s := range settings() {
		text := s.value(l.File)
		if text == "" {
			continue
		}
		for _, earlier := range p.layers {
			if was := s.value(earlier.File); was != "" && was != text {
				return fmt.Errorf("line %d: %s: is set otherwise on %s", l.line(s.key), s.key, earlier.place(s.key))
			}
		}
	}
	return nil
}

// both are the names that are in both lists.
func both(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(name string) bool { return !slices.Contains(b, name) })
}
