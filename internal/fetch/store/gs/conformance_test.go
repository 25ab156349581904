package gs

import (
	"net/url"
	"testing"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/storetest"
	"stretcher/internal/testparts"
)

func newSet(opts store.Options) *store.Set { return store.NewSet(opts, store.Schemes{Definition()}) }

func TestConformance(t *testing.T) {
	w := gsWorld(t)
	storetest.Run(t, w)
	storetest.RunSink(t, w, true)
}

func gsWorld(t *testing.T) storetest.World {
	srv := testparts.GCS(t)
	testparts.Setenv(t, srv.Env())
	set := newSet(store.Options{UserAgent: "Stretcher/test"})
	return storetest.World{Set: set, Put: func(t *testing.T, name string, data []byte) string {
		srv.Put(t, "bucket", name, data)
		return "gs://bucket/" + url.PathEscape(name)
	}}
}
