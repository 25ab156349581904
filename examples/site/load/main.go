// Command load asks a site for its page and for the asset that the page names,
// over and over, until it is told to end by SIGTERM, and then counts what was not as
// it should be: answers other than 200, pages and assets that are not of one version
// from beginning to end. It ends with status 1 if there was any.
//
//	load URL FILE    FILE gets a line for each version when it is first seen
//
// A page is "version N asset /assets/NAME ... version N", an asset "version N ...
// version N".
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// visitors ask at the same time, each after a pause.
const (
	visitors = 4
	pause    = 8 * time.Millisecond
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: load URL FILE")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	seen, err := os.OpenFile(os.Args[2], os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	c := &count{seen: seen, versions: map[string]bool{}}
	var all sync.WaitGroup
	for range visitors {
		all.Go(func() { visit(ctx, os.Args[1], c) })
	}
	all.Wait()
	fmt.Printf("%d requests, %d failed, %d versions\n", c.requests, c.failed, len(c.versions))
	if c.failed > 0 || c.requests == 0 {
		os.Exit(1)
	}
}

// count is what has been seen so far.
type count struct {
	sync.Mutex
	requests, failed int
	versions         map[string]bool
	seen             io.Writer
}

// add counts a request. What is wrong with its answer is told at once.
func (c *count) add(version string, wrong error) {
	c.Lock()
	defer c.Unlock()
	c.requests++
	if wrong != nil {
		c.failed++
		fmt.Fprintln(os.Stderr, "wrong:", wrong)
	} else if !c.versions[version] {
		c.versions[version] = true
		fmt.Fprintln(c.seen, version)
	}
}

// visit loads the page and its asset until the context ends. A request that has
// begun is finished.
func visit(ctx context.Context, url string, c *count) {
	client := &http.Client{Timeout: 5 * time.Minute, Transport: &http.Transport{}}
	for ctx.Err() == nil {
		if page, err := get(client, url+"/"); err != nil {
			c.add("", err)
		} else {
			c.add(page.version, nil)
			asset, err := get(client, url+page.asset)
			if err == nil && asset.version != page.version {
				err = fmt.Errorf("%s is of version %s, its page of %s", page.asset, asset.version, page.version)
			}
			c.add(asset.version, err)
		}
		time.Sleep(pause)
	}
}

// document is what was found in an answer.
type document struct{ version, asset string }

var whole = regexp.MustCompile(`(?s)^version (\d+) (?:asset (\S+))?.* version (\d+)\n$`)

// get asks for a document, which must be of one version.
func get(client *http.Client, url string) (document, error) {
	resp, err := client.Get(url)
	if err != nil {
		return document{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return document{}, err
	}
	found := whole.FindSubmatch(body)
	switch {
	case resp.StatusCode != http.StatusOK:
		return document{}, fmt.Errorf("GET %s: %s", url, resp.Status)
	case found == nil || string(found[1]) != string(found[3]):
		return document{}, fmt.Errorf("GET %s: not of one version: %.40q", url, body)
	}
	return document{string(found[1]), string(found[2])}, nil
}
