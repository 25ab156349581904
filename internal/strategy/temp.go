package strategy

import "regexp"

// TempPrefix begins the name of every temporary directory of a run, so that
// what a run that died has left can be told and removed.
func TempPrefix(run string) string { return ".stretcher-" + run + "-" }

var tempPattern = regexp.MustCompile(`^\.stretcher-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-[0-9]+$`)

// IsTemp tells whether a run names its temporary directories so. Where such a
// directory lies in dest, it is no part of what is deployed there.
func IsTemp(name string) bool { return tempPattern.MatchString(name) }
