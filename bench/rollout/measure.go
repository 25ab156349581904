package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/consul"
)

// counter counts the requests of one host.
type counter struct {
	next                            http.RoundTripper
	requests, writes, refused, read atomic.Int64 // read in bytes
}

// RoundTrip counts a request. A write is what Consul's servers write to their log: a
// transaction that only reads is none, nor is the renewal of a session.
func (c *counter) RoundTrip(req *http.Request) (*http.Response, error) {
	c.requests.Add(1)
	writes := req.Method == http.MethodPut && !strings.Contains(req.URL.Path, "/renew/")
	if writes && req.Body != nil && req.URL.Path == "/v1/txn" {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		writes = bytes.Count(body, []byte(`"Verb":`)) > bytes.Count(body, []byte(`"Verb":"get"`))
	}
	if writes {
		c.writes.Add(1)
	}
	resp, err := c.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if writes && resp.StatusCode == http.StatusConflict {
		c.refused.Add(1)
	}
	resp.Body = &body{resp.Body, &c.read}
	return resp, nil
}

// body counts what is read of an answer.
type body struct {
	io.ReadCloser
	n *atomic.Int64
}

// Read reads on.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

// result is what a rollout has cost.
type result struct {
	hosts []*counter
	took  time.Duration
	most  int64 // so many were at work
}

// row is a line of the table: what the median host asks, and the one that asks most.
func (r result) row(n, slots int, by string) string {
	var requests, writes, refused, read, most, first int64
	for _, c := range r.hosts {
		requests += c.requests.Load()
		writes += c.writes.Load()
		refused += c.refused.Load()
		read += c.read.Load()
		most, first = max(most, c.requests.Load()), max(first, c.read.Load())
	}
	mean := func(sum int64) float64 { return float64(sum) / float64(n) }
	return fmt.Sprintf("| %d | %d | %s | %.1f | %d | %.1f | %.1f | %.1f | %.0f | %.1f |", n, slots, by, mean(requests),
		most, mean(writes), mean(refused), mean(read)/1000, float64(first)/1000, r.took.Seconds())
}

// each runs do for each of n hosts at once, and measures it.
func each(n, slots int, do func(i int, c *counter, work func()) error) (result, error) {
	r := result{}
	var all sync.WaitGroup
	var now, most atomic.Int64
	errs := make([]error, n)
	work := func() {
		at := now.Add(1)
		for was := most.Load(); at > was && !most.CompareAndSwap(was, at); was = most.Load() {
		}
		now.Add(-1)
	}
	for range n {
		r.hosts = append(r.hosts, &counter{})
	}
	began := time.Now()
	for i, c := range r.hosts {
		all.Go(func() { errs[i] = do(i, c, work) })
	}
	all.Wait()
	r.took, r.most = time.Since(began), most.Load()
	if r.most > int64(slots) {
		return r, fmt.Errorf("%d hosts were at work, of %d", r.most, slots)
	}
	return r, errors.Join(errs...)
}

// rollout is one by the client that hosts have.
func rollout(ctx context.Context, addr, name string, n int, parallel fleet.Amount) (result, error) {
	return each(n, max(1, parallel.Of(n, 1)), func(i int, c *counter, work func()) error {
		client, err := consul.Open(consul.Config{Address: addr, Wrap: func(next http.RoundTripper) http.RoundTripper {
			c.next = next
			return c
		}})
		if err != nil {
			return err
		}
		place, err := client.Enter(ctx, fleet.Entry{
			Name: name, Version: "1", ID: "1", Run: node(i), Node: node(i),
			Rollout: fleet.Rollout{Service: "web", Parallel: parallel},
		})
		if err != nil {
			return err
		}
		if _, err := place.Wait(ctx); err != nil {
			return err
		}
		work()
		return place.Leave(ctx, fleet.Result{Result: "good"})
	})
}

// semaphore is one by Consul's own semaphore.
func semaphore(ctx context.Context, addr, prefix string, n, slots int) (result, error) {
	return each(n, slots, func(_ int, c *counter, work func()) error {
		conf := api.DefaultConfig()
		conf.Address = addr
		plain, err := api.NewHttpClient(conf.Transport, conf.TLSConfig)
		if err != nil {
			return err
		}
		c.next, plain.Transport = plain.Transport, c
		conf.HttpClient = plain
		client, err := api.NewClient(conf)
		if err != nil {
			return err
		}
		s, err := client.SemaphorePrefix(prefix, slots)
		if err != nil {
			return err
		}
		if _, err := s.Acquire(ctx.Done()); err != nil {
			return err
		}
		work()
		return s.Release()
	})
}
