package store

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
)

type readOnly struct{}

func (readOnly) Open(context.Context, *url.URL, Position) (*Object, error) { return nil, ErrNotFound }

// TestReadOnly: a store that is no sink says so before anything is read.
func TestReadOnly(t *testing.T) {
	set := NewSet(Options{}, Schemes{{
		Schemes: []string{"ro"},
		Check:   func(*url.URL) error { return nil },
		New:     func(Options) Store { return readOnly{} },
	}})
	_, statErr := set.Stat(t.Context(), "ro://x/y")
	for _, err := range []error{
		set.CheckPut("ro://x/y?k=SEKRIT"), set.Put(t.Context(), "ro://x/y", nil, 1, PutOptions{}), statErr,
	} {
		if !errors.Is(err, ErrReadOnly) || Retryable(err) || strings.Contains(err.Error(), "SEKRIT") {
			t.Errorf("%v, want ErrReadOnly", err)
		}
	}
	if err := set.CheckPut("other://x/y"); !errors.Is(err, ErrScheme) {
		t.Errorf("%v, want ErrScheme", err)
	}
}
