package manifest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
	"stretcher/internal/text/yamldoc"
)

// Render is the text of the manifest at url with the values of its templates, as
// Load would fetch it and have it vouched for. Whether its keys are right is not
// asked. Unless show is set, names stand for the values of variables and of env,
// and URLs are without what is secret of them. unset are the variables for which
// something stands in.
func (l *Loader) Render(ctx context.Context, url string, show bool) (text []byte, unset []string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("manifest: %w", err)
		}
	}()
	raw, signature, err := l.fetch(ctx, url)
	if err != nil {
		return nil, nil, err
	}
	loaded, err := l.admit(raw, signature, url, baseOf(url))
	if err != nil {
		return nil, nil, err
	}
	r, err := l.settle(loaded, baseOf(url))
	if err == nil && len(r.open) > 0 {
		err = l.asError(raw, r.open)
	}
	if err == nil {
		text, err = r.rendered(l.lookup, show)
	}
	if err != nil {
		return nil, nil, said(loaded, err)
	}
	return text, r.gaps.names(), nil
}

// rendered is the manifest as it is written, with values in place of its
// templates.
func (r *reading) rendered(look Lookup, show bool) ([]byte, error) {
	v := values{look: look, unset: true, gaps: r.gaps}
	doc, problem := yamldoc.Parse(r.templates.text)
	if problem != nil {
		return nil, problem // it was none a moment ago
	}
	secret, clean := yamldoc.Below{}, func(text string) string { return text }
	if !show {
		v.shown = func(name, _ string) string { return "[" + name + "]" }
		secret, clean = doc.Below("env", ""), redact.Text
		ofHooks := doc.Below("environment", "hooks")
		maps.Copy(secret.Values, ofHooks.Values)
		maps.Copy(secret.Keys, ofHooks.Keys)
	}
	f := &filling{templates: r.templates, values: v}
	doc.Fill(yamldoc.Filler{
		Value: func(text string, at yamldoc.Place) string {
			if name, ok := secret.Values[at]; ok {
				return "[" + namesOnly(name) + "]"
			}
			return clean(f.scalar(text, at))
		},
		Key: func(text string) string {
			if secret.Keys[text] { // NAME=VALUE, which is no name
				return namesOnly(text)
			}
			return clean(text)
		},
		Comment: func(text string) string { return clean(r.templates.restored(text)) },
	})
	if show || doc.Second() == 0 { // what is in others nobody has looked at
		made, ok := doc.Rewritten(r.templates.text, func(line string) string { return clean(f.value(line, standIn)) })
		if text := r.cleaned(made, clean); ok && (show || doc.Holds(text)) {
			return text, nil
		}
	}
	if slices.ContainsFunc(doc.Names(), func(name string) bool { return clean(name) != name }) {
		err := errors.New("the manifest can't be written without its secrets")
		return nil, failure.Hinted("--show prints it with them", err)
	}
	made, err := doc.Text()
	if err != nil {
		return nil, errors.New("the manifest can't be written with its values")
	}
	return []byte(r.templates.restored(string(made))), nil
}

// cleaned is a text with the templates of its comments, and each line clean: of
// what comments, anchors and tags have in them, too.
func (r *reading) cleaned(made []byte, clean func(text string) string) []byte {
	var text strings.Builder
	for line := range strings.Lines(r.templates.restored(string(made))) {
		text.WriteString(clean(line))
	}
	return []byte(text.String())
}
