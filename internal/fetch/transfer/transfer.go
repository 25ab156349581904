// Package transfer copies one object from a store to local bytes, completely
// or not at all: it resumes a body that breaks off, retries what is worth
// retrying with exponential back-off and jitter, limits bandwidth and size,
// and gives up on a server that sends nothing.
//
// Its words: an attempt is one Open and the reads of its body; a stall is an
// attempt in which no byte arrives for Options.Stall; a resumption goes on at
// the offset reached, in the same version; a restart begins again at 0 and
// tells the destination to forget what it has.
//
// It may import internal/fetch/store and internal/text/redact. It knows nothing of
// checksums, mirrors, manifests or terminals: those are its callers'.
package transfer
