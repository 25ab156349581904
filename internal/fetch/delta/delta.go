// Package delta brings the contents of an archive together without fetching all
// of it: by the archive's index, from what the host has and from ranges of the
// archive.
//
// Its words are those of package index: members, contents, the stream and its
// frame. A content is wanted if who unpacks the archive is going to read it; it
// is held if it lies in a file of the live tree; a member is kept if it lies in
// an archive that was deployed before. A span is what one request asks for:
// members that follow one another. A link is what is known of the way to the
// server, which the cost of requests and bytes is judged by.
//
// Nothing is trusted: a content of a file or member is hashed as it is read, a
// member before it is decompressed. What is unpacked in the end has passed all
// the rules of archives. Whatever goes wrong is the caller's cue to fetch the
// whole archive, which is always right.
//
// It knows nothing of manifests, strategies or the host policy.
package delta

import (
	"errors"
	"fmt"

	"github.com/dustin/go-humanize/english"
)

// Errors that those of this package match.
var (
	// ErrIndex is of an index that can't be had or used.
	ErrIndex = errors.New("the index can't be used")
	// ErrDear: fetching the whole archive costs less.
	ErrDear = errors.New("the whole archive costs less")
	// ErrNoRanges: the server sends the whole archive, whatever is asked for.
	ErrNoRanges = errors.New("the server sends no ranges")
	// ErrMember is of a part of the archive that is not what the index says.
	ErrMember = errors.New("not what the index says")
	// ErrMissing is of a content that is nowhere, or no more.
	ErrMissing = errors.New("its content is not here")
)

// Stats says what a delta has cost.
type Stats struct {
	Bytes    int64 // fetched, the index included
	Requests int
	Index    int64 // bytes of the index that were fetched
	Whole    int64 // what all of it would have been: the archive
}

// String is "fetched X of Y" in words. No share is told of what was not less than
// the archive, as it is of a small one with its index.
func (s Stats) String() string {
	if s.Bytes >= s.Whole {
		return fmt.Sprintf("%d bytes with the index, of an archive of %d bytes, in %s", s.Bytes, s.Whole,
			english.Plural(s.Requests, "range", ""))
	}
	return fmt.Sprintf("%d of %d bytes (%.1f %%) in %s", s.Bytes, s.Whole,
		100*float64(s.Bytes)/float64(max(s.Whole, 1)), english.Plural(s.Requests, "range", ""))
}
