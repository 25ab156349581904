package consul

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/hashicorp/consul/api"
)

// consistent are the options of a read that no deposed leader answers.
func consistent(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx)
}

// get reads a key; nil = it is not there.
func (c *Client) get(ctx context.Context, key string) (*api.KVPair, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	pair, meta, err := c.api.KV().Get(key, consistent(ctx))
	if err == nil && pair == nil && meta.LastIndex == 0 { // Consul says since when a key is not there
		err = api.StatusError{Code: http.StatusNotFound, Body: "no index"}
	}
	if err != nil {
		return nil, c.failed(keyRead, "read "+key, err)
	}
	c.granted(keyRead)
	return pair, nil
}

// getAll reads some keys; those that are not there are nil.
func (c *Client) getAll(ctx context.Context, keys []string) (map[string]*api.KVPair, error) {
	found := map[string]*api.KVPair{}
	for len(keys) > 0 {
		part := keys[:min(len(keys), mostOps)]
		keys = keys[len(part):]
		if err := c.getSome(ctx, part, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// getSome reads at most mostOps keys at once. A transaction tells of all keys that are
// not there, and is tried again without them.
func (c *Client) getSome(ctx context.Context, keys []string, found map[string]*api.KVPair) error {
	for len(keys) > 0 {
		var ops []*api.KVTxnOp
		for _, key := range keys {
			ops = append(ops, &api.KVTxnOp{Verb: api.KVGet, Key: key})
		}
		response, err := c.txn(ctx, ops)
		if err != nil {
			return err
		}
		if len(response.Errors) == 0 {
			for _, pair := range response.Results {
				found[pair.Key] = pair
			}
			return c.listed(keyRead, "read "+keys[0]+" and others",
				&api.QueryMeta{ResultsFilteredByACLs: len(response.Results) < len(keys)}, nil)
		}
		gone := map[int]bool{}
		for _, e := range response.Errors {
			gone[e.OpIndex] = true
		}
		var rest []string
		for i, key := range keys {
			if !gone[i] {
				rest = append(rest, key)
			}
		}
		if len(rest) == len(keys) {
			return unreached("read", errors.New(response.Errors[0].What))
		}
		keys = rest
	}
	return nil
}

// mostOps is how much a transaction holds: Consul 1.13 takes 64.
const mostOps = 60

// txn sends one transaction. Its response has errors when it did nothing.
func (c *Client) txn(ctx context.Context, ops []*api.KVTxnOp) (*api.KVTxnResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	needs, what := needed(ops)
	ok, response, _, err := c.api.KV().Txn(ops, consistent(ctx))
	switch {
	case err != nil:
		return nil, c.failed(needs, what, err)
	case !ok && len(response.Errors) == 0:
		return nil, unreached(what, errors.New("consul has done nothing, and does not say why"))
	}
	for _, e := range response.Errors {
		if err := errors.New(e.What); barredBy(err) != nil {
			needs, what = needed(ops[max(0, min(e.OpIndex, len(ops)-1)):][:1])
			return nil, c.failed(needs, what, err)
		}
	}
	if len(response.Errors) == 0 {
		c.granted(needs)
	}
	return response, nil
}

// needed is the right that a transaction needs, and what it does.
func needed(ops []*api.KVTxnOp) (needs right, what string) {
	for _, op := range ops {
		switch op.Verb {
		case api.KVGet, api.KVCheckIndex, api.KVCheckNotExists:
		default:
			return keyWrite, "write " + op.Key
		}
	}
	return keyRead, "read " + ops[0].Key
}

// commit does all of ops or nothing; false = somebody else was first.
func (c *Client) commit(ctx context.Context, ops ...*api.KVTxnOp) (bool, error) {
	response, err := c.txn(ctx, ops)
	return err == nil && len(response.Errors) == 0, err
}

// write does what nobody can be in the way of.
func (c *Client) write(ctx context.Context, ops ...*api.KVTxnOp) error {
	response, err := c.txn(ctx, ops)
	if err == nil && len(response.Errors) > 0 {
		err = unreached("write", errors.New(response.Errors[0].What))
	}
	return err
}

// follow tells of a key each time it has changed since index, until ctx ends or an
// error has been told.
func (c *Client) follow(ctx context.Context, key string, index uint64, wait time.Duration, tell chan<- change) {
	for {
		pair, next, err := c.block(ctx, key, index, wait)
		if err == nil && next == index {
			continue
		}
		select {
		case tell <- change{pair, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
		if next < index {
			next = 0 // as Consul wants it: its indexes have begun anew
		}
		index = next
	}
}

// change is what has become of a key; nil = it is gone.
type change struct {
	pair *api.KVPair
	err  error
}

// block waits until a key has changed since index, or for some time.
func (c *Client) block(ctx context.Context, key string, index uint64, wait time.Duration) (*api.KVPair, uint64, error) {
	// Consul adds up to a sixteenth, so that not all come at once.
	ctx, cancel := context.WithTimeout(ctx, wait+wait/16+requestTime)
	defer cancel()
	pair, meta, err := c.api.KV().Get(key, (&api.QueryOptions{WaitIndex: index, WaitTime: wait}).WithContext(ctx))
	if err != nil {
		return nil, 0, c.failed(keyRead, "watch "+key, err)
	}
	c.granted(keyRead)
	if pair != nil {
		return pair, pair.ModifyIndex, nil
	}
	return nil, max(meta.LastIndex, 1), nil
}

// about is a duration of some random length around d.
func about(d time.Duration) time.Duration {
	return d*3/4 + upTo(d/2)
}

// upTo is a random duration below d.
func upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}

// pause waits; false = ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func nonce() string { return fmt.Sprintf("%016x", rand.Uint64()) }

func casOp(key string, value []byte, index uint64) *api.KVTxnOp {
	return &api.KVTxnOp{Verb: api.KVCAS, Key: key, Value: value, Index: index}
}

func setOp(key string, value []byte) *api.KVTxnOp {
	return &api.KVTxnOp{Verb: api.KVSet, Key: key, Value: value}
}

func lockOp(key string, value []byte, session string) *api.KVTxnOp {
	return &api.KVTxnOp{Verb: api.KVLock, Key: key, Value: value, Session: session}
}

func sameOp(key string, index uint64) *api.KVTxnOp {
	return &api.KVTxnOp{Verb: api.KVCheckIndex, Key: key, Index: index}
}

func goneOp(key string) *api.KVTxnOp { return &api.KVTxnOp{Verb: api.KVCheckNotExists, Key: key} }

func deleteOp(key string) *api.KVTxnOp { return &api.KVTxnOp{Verb: api.KVDelete, Key: key} }

func deleteTreeOp(prefix string) *api.KVTxnOp {
	return &api.KVTxnOp{Verb: api.KVDeleteTree, Key: prefix}
}

func deleteCASOp(key string, index uint64) *api.KVTxnOp {
	return &api.KVTxnOp{Verb: api.KVDeleteCAS, Key: key, Index: index}
}
