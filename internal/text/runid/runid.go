// Package runid is the ids of runs, and the names that are made of them.
//
// It imports no other package of this module.
package runid

import (
	"strings"

	"github.com/google/uuid"
)

// tempPrefix begins the name of every run's temporary directories.
const tempPrefix = ".stretcher-"

// TempPrefix begins the name of every temporary directory of a run, so that
// what a run that died has left can be told and removed.
func TempPrefix(run string) string { return tempPrefix + run + "-" }

// IsTemp tells whether a run names its temporary directories so. Where such a
// directory lies in dest, it is no part of what is deployed there.
func IsTemp(name string) bool {
	rest, ok := strings.CutPrefix(name, tempPrefix)
	cut := strings.LastIndexByte(rest, '-')
	return ok && cut >= 0 && Is(rest[:cut]) && isNumber(rest[cut+1:])
}

// New makes the id of a run: a UUIDv7, so that ids sort by time.
func New() string { return uuid.Must(uuid.NewV7()).String() }

// Is tells whether an id is one that this program gives. It becomes a file's
// name.
func Is(id string) bool {
	parsed, err := uuid.Parse(id)
	return err == nil && parsed.String() == id
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
