// Package hooks runs hooks, whoever wrote them, at the points of a
// deployment.
//
// Its words: a point is a moment of the process at which hooks run, with its
// names in the four vocabularies (Points); a hook is one thing to run, made
// by a dialect out of its own kind of source; a dialect is p2 (directories of
// executables), oci (JSON definitions) or porter (lists in the manifest); a
// group is a number of adjacent hooks that run at the same time; an outcome
// is how one hook ended.
//
// The package holds the engine: what a hook is, the table of points, the
// order of dialects and the runner, with process groups, TERM and KILL times
// and a bounded wait. Each dialect is a package below it (p2, oci, porter)
// that turns its source into hooks; no dialect knows another. The engine may
// import internal/process and internal/journal/runlog; a dialect may import the
// engine and internal/text. Package all joins them. None knows flags, exit codes or the history:
// outcomes go to the caller.
package hooks
