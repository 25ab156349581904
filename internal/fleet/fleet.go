// Package fleet is the words of a rollout: one event that many hosts get, of which a
// few at a time are at work, and one answer to how it went.
//
// Its words: a rollout is one version on its way to a group of hosts, known by its
// id; a host is known by its node; a slot is the leave to be at work; a result is
// what one host says of its run, once; the state is what is known of a rollout and
// of its hosts; the standing is how it stands with one host.
//
// It is rules and values alone: it knows no server, opens nothing, and imports
// internal/text.
package fleet
