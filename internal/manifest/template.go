package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"text/template"
	"time"

	"stretcher/internal/text/failure"
)

// MaxSize bounds a manifest before and after its templates are expanded,
// in bytes.
const MaxSize = 1 << 20

// Lookup looks up variables as os.LookupEnv does.
type Lookup func(name string) (string, bool)

// expandTemplates runs the manifest's templates as v1.1 does:
//
//	{{ must_env "NAME" }}                 the variable; an error when it is not set
//	{{ env "NAME" ["OTHER" ...] "text" }} the first variable that is set and not empty, else the last argument
//
// Each value that comes from the environment is reported to secret.
//
// A template may loop: it is given up when ctx ends or after templateLimit.
func expandTemplates(ctx context.Context, data []byte, env Lookup, secret func(name, value string)) ([]byte, error) {
	if !bytes.Contains(data, []byte("{{")) {
		return data, nil
	}
	look := func(name string) (string, bool) {
		v, ok := env(name)
		if ok {
			secret(name, v)
		}
		return v, ok
	}
	t, err := template.New("manifest").Option("missingkey=error").Funcs(template.FuncMap{
		"must_env": func(name string) (string, error) { return mustEnv(look, name) },
		"env":      func(names ...string) (string, error) { return firstEnv(look, names) },
	}).Parse(string(data))
	if err != nil {
		return nil, failure.Malformed("%w", templateError(err))
	}
	return execute(ctx, t)
}

// execute runs a template. One that is given up goes on in its goroutine, for
// there is no way to stop it, until the process ends.
func execute(ctx context.Context, t *template.Template) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, templateLimit, errTooSlow)
	defer cancel()
	var out capped
	done := make(chan error, 1)
	go func() { done <- t.Execute(&out, nil) }()
	select {
	case err := <-done:
		if err != nil {
			return nil, failure.Malformed("%w", templateError(err))
		}
		return out.Bytes(), nil
	case <-ctx.Done():
		if err := context.Cause(ctx); !errors.Is(err, errTooSlow) {
			return nil, err
		}
		return nil, failure.Malformed("%w", errTooSlow)
	}
}

// templateLimit is how long a manifest's templates may take.
const templateLimit = 10 * time.Second

var errTooSlow = fmt.Errorf("template: not expanded after %s", templateLimit)

func mustEnv(look Lookup, name string) (string, error) {
	v, ok := look(name)
	if !ok {
		return "", fmt.Errorf("environment variable %q is not set", name)
	}
	return v, nil
}

func firstEnv(look Lookup, names []string) (string, error) {
	if len(names) == 0 {
		return "", errors.New("env needs the name of a variable")
	}
	last := len(names) - 1
	for i, name := range names {
		if i > 0 && i == last {
			break
		}
		if v, _ := look(name); v != "" {
			return v, nil
		}
	}
	if last == 0 {
		return "", nil
	}
	return names[last], nil
}

var templatePosition = regexp.MustCompile(`^template: manifest:(\d+)(?::\d+)?: (?:executing "manifest" at <.*?>: )?(?:error calling \w+: )?(.*)`)

// templateError puts the template package's error into the form of the other
// manifest errors: line first.
func templateError(err error) error {
	if errors.Is(err, errTooLong) {
		return errTooLong
	}
	if m := templatePosition.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("line %s: template: %s", m[1], m[2])
	}
	return err
}

var errTooLong = fmt.Errorf("template: expands to more than %d bytes", MaxSize)

// capped is a buffer that refuses to grow beyond MaxSize: a template may
// loop.
type capped struct{ bytes.Buffer }

// Write refuses what goes beyond the bound.
func (c *capped) Write(p []byte) (int, error) {
	if c.Len()+len(p) > MaxSize {
		return 0, errTooLong
	}
	return c.Buffer.Write(p)
}
