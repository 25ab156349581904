package file

import (
	"net/url"
	"path/filepath"
	"testing"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/storetest"
)

func newSet(opts store.Options) *store.Set { return store.NewSet(opts, store.Schemes{Definition()}) }

func TestConformance(t *testing.T) {
	w := fileWorld(t)
	storetest.Run(t, w)
	storetest.RunSink(t, w, true)
}

func fileWorld(t *testing.T) storetest.World {
	dir := t.TempDir()
	return storetest.World{Set: newSet(store.Options{}), Put: func(t *testing.T, name string, data []byte) string {
		storetest.Replace(t, filepath.Join(dir, name), data)
		return "file://" + (&url.URL{Path: filepath.Join(dir, name)}).EscapedPath()
	}}
}
