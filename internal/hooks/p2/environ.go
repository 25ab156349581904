package p2

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// environ is a hook's whole environment. dir is the directory that holds it.
func (o Options) environ(dir, event string) []string {
	path := o.Path
	if path == "" {
		path = DefaultPath
	}
	return append(append([]string{"PATH=" + path}, o.Env...),
		"HOOK="+filepath.Base(dir),
		"HOOK_EVENT="+event,
		"HOOKED_NODE="+o.Pod.Node,
		"HOOKED_POD_ID="+o.Pod.ID,
		"HOOKED_POD_HOME="+o.Pod.Home,
		"HOOKED_POD_MANIFEST="+o.Files.Manifest,
		"HOOKED_CONFIG_PATH="+o.Files.Config,
		"HOOKED_ENV_PATH="+o.Files.Env,
		"HOOKED_CONFIG_DIR_PATH="+o.Files.ConfigDir,
		"HOOKED_SYSTEM_POD_ROOT="+o.Pod.Root,
		"HOOKED_POD_UNIQUE_KEY="+o.Pod.UniqueKey,
		"HOOKED_POD_READ_ONLY=false",
	)
}

// Files are the paths of what hooks may read.
type Files struct {
	Manifest  string // copy of the manifest
	Config    string // the manifest's config map, as YAML
	ConfigDir string // the directory that holds Config
	Env       string // a directory with one file per variable
}

// Content is what WriteFiles writes.
type Content struct {
	Manifest []byte            // as it was fetched, or with the values of its templates
	Config   any               // the manifest's config map; nil = an empty one
	Env      map[string]string // the manifest's env
}

// WriteFiles writes the content into dir, which must exist and belong to the
// caller alone: env and config may hold secrets. Every file ends up readable
// for the caller's user only.
func WriteFiles(dir string, c Content) (Files, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Files{}, err
	}
	f := Files{
		Manifest:  filepath.Join(dir, "manifest.yaml"),
		ConfigDir: filepath.Join(dir, "config"),
		Config:    filepath.Join(dir, "config", "config.yaml"),
		Env:       filepath.Join(dir, "env"),
	}
	if c.Config == nil {
		c.Config = map[string]any{}
	}
	config, err := marshal(c.Config)
	if err != nil {
		return Files{}, fmt.Errorf("config: %w", err)
	}
	for _, d := range []string{f.ConfigDir, f.Env} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return Files{}, err
		}
	}
	if err := os.WriteFile(f.Manifest, c.Manifest, 0o600); err != nil {
		return Files{}, err
	}
	if err := os.WriteFile(f.Config, config, 0o600); err != nil {
		return Files{}, err
	}
	return f, writeEnv(f.Env, c.Env)
}

// marshal turns the panics of the YAML package into errors.
func marshal(v any) (_ []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("can't be written as YAML: %v", p)
		}
	}()
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), enc.Close()
}

func writeEnv(dir string, env map[string]string) error {
	for name, value := range env {
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/=\x00") {
			return fmt.Errorf("env: %q is not the name of a variable", name)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
			return fmt.Errorf("env: %w", err)
		}
	}
	return nil
}
