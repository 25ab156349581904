package az

import (
	"net/url"
	"testing"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/storetest"
	"stretcher/internal/testparts"
)

func TestConformance(t *testing.T) { storetest.Run(t, world(t)) }

func TestSinkConformance(t *testing.T) { storetest.RunSink(t, world(t), true) }

func world(t *testing.T) storetest.World {
	srv := testparts.Azure(t)
	testparts.Setenv(t, srv.Env())
	return storetest.World{Set: newSet(), Put: func(t *testing.T, name string, data []byte) string {
		srv.Put(t, "container", name, data)
		return "az://" + srv.Account + "/container/" + url.PathEscape(name)
	}}
}

func newSet() *store.Set {
	return store.NewSet(store.Options{UserAgent: "Stretcher/test"}, store.Schemes{Definition()})
}
