// Command rollout measures what an empty rollout asks of Consul: a server of its own,
// with its data on disk, and each host a goroutine with the client and the connections
// that a host has. Usage:
//
//	go run -tags disable_grpc_modules ./bench/rollout [KEY=VALUE...]
//
// The keys are consul, the program (.tools/consul); hosts, a list of numbers
// (10,100,1000); parallel, a list of amounts (5,10%); semaphore, for how many hosts at
// most api.Semaphore is measured, too (100). It prints the table of docs/fleet.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"stretcher/internal/fleet"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "rollout: %v\n", err)
		os.Exit(1)
	}
}

// options are what is measured.
type options struct {
	consul    string
	hosts     []int
	parallel  []fleet.Amount
	semaphore int
}

func parse(args []string) (options, error) {
	values := map[string]string{
		"consul": ".tools/consul", "hosts": "10,100,1000", "parallel": "5,10%", "semaphore": "100",
	}
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		if _, known := values[key]; !ok || !known {
			return options{}, fmt.Errorf("%q is none of consul=, hosts=, parallel= and semaphore=", arg)
		}
		values[key] = value
	}
	o := options{consul: values["consul"]}
	var err, wrong error
	for text := range strings.SplitSeq(values["hosts"], ",") {
		n, e := strconv.Atoi(text)
		if e == nil && n < 1 {
			e = fmt.Errorf("%d hosts are none", n)
		}
		o.hosts, err = append(o.hosts, n), errors.Join(err, e)
	}
	for text := range strings.SplitSeq(values["parallel"], ",") {
		var a fleet.Amount
		wrong = errors.Join(wrong, a.UnmarshalText([]byte(text)))
		o.parallel = append(o.parallel, a)
	}
	o.semaphore, err = atoi(values["semaphore"], err)
	return o, errors.Join(err, wrong)
}

func atoi(text string, before error) (int, error) {
	n, err := strconv.Atoi(text)
	return n, errors.Join(before, err)
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	s, err := startServer(ctx, o.consul)
	if err != nil {
		return err
	}
	defer s.stop()
	fmt.Fprintln(out, "| hosts | at once | by | requests | the most | "+
		"writes | of them refused | KB read | the most | seconds |")
	fmt.Fprintln(out, strings.Repeat("|---", 10)+"|")
	registered := 0
	for i, n := range o.hosts {
		for ; registered < n; registered++ {
			if err := s.register(ctx, registered); err != nil {
				return err
			}
		}
		for j, parallel := range o.parallel {
			slots := max(1, parallel.Of(n, 1))
			r, err := rollout(ctx, s.addr, fmt.Sprintf("app-%d-%d", i, j), n, parallel)
			if err != nil {
				return err
			}
			fmt.Fprintln(out, r.row(n, slots, "stretcher"))
			if n > o.semaphore {
				continue
			}
			if r, err = semaphore(ctx, s.addr, fmt.Sprintf("sem-%d-%d/", i, j), n, slots); err != nil {
				return err
			}
			fmt.Fprintln(out, r.row(n, slots, "api.Semaphore"))
		}
	}
	return nil
}
