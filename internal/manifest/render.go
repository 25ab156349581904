package manifest

import (
	"context"
	"errors"
	"fmt"
	"strings"

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
	secret := map[yamldoc.Place]string{}
	if !show {
		v.shown = func(name, _ string) string { return "[" + name + "]" }
		secret = doc.ValuesOf("env")
	}
	f := &filling{templates: r.templates, values: v, marks: r.templates.marks()}
	clean := func(text string) string {
		if show {
			return text
		}
		return redact.Text(text)
	}
	doc.Fill(yamldoc.Filler{
		Value: func(text string, at yamldoc.Place) string {
			if name, ok := secret[at]; ok {
				return "[" + name + "]"
			}
			return clean(f.scalar(text, at))
		},
		Key:     func(text string) string { return text },
		Comment: func(text string) string { return clean(r.templates.restored(text)) },
	})
	made, ok := doc.Rewritten(r.templates.text, func(line string) string {
		return clean(f.value(line, standIn))
	})
	if !ok {
		var err error
		if made, err = doc.Text(); err != nil {
			return nil, errors.New("the manifest can't be written with its values")
		}
	}
	text := r.templates.restored(string(made))
	if show {
		return []byte(text), nil
	}
	var cleaned strings.Builder // of what comments have in them, too
	for line := range strings.Lines(text) {
		cleaned.WriteString(clean(line))
	}
	if cleaned.String() == text || doc.Holds([]byte(cleaned.String())) {
		return []byte(cleaned.String()), nil
	}
	return doc.Text()
}
