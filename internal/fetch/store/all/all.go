// Package all joins the stores. It is the only one that knows them by name: to
// add a scheme is to write its package and its line here.
//
// Its words are those of package store. It imports the stores.
package all

import (
	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/az"
	"stretcher/internal/fetch/store/consul"
	"stretcher/internal/fetch/store/file"
	"stretcher/internal/fetch/store/gs"
	"stretcher/internal/fetch/store/oci"
	"stretcher/internal/fetch/store/s3"
	"stretcher/internal/fetch/store/web"
)

// List are the stores that there are.
func List() store.Schemes {
	return store.Schemes{
		file.Definition(),
		web.Definition(),
		s3.Definition(),
		gs.Definition(),
		az.Definition(),
		oci.Definition(),
		consul.Definition(),
	}
}
