package main

import (
	"slices"
	"testing"
)

func TestParse(t *testing.T) {
	o, err := parse([]string{"hosts=10,20", "parallel=3,50%", "semaphore=0"})
	if err != nil || !slices.Equal(o.hosts, []int{10, 20}) || o.semaphore != 0 || o.consul != ".tools/consul" {
		t.Errorf("%+v, %v", o, err)
	}
	if len(o.parallel) != 2 || o.parallel[0].Of(20, 1) != 3 || o.parallel[1].Of(20, 1) != 10 {
		t.Errorf("%+v", o.parallel)
	}
	for _, arg := range []string{"hosts", "hosts=x", "hosts=0", "hosts=1,-5", "parallel=x", "semaphore=x", "nodes=1"} {
		if o, err := parse([]string{arg}); err == nil {
			t.Errorf("%q is %+v", arg, o)
		}
	}
}

// TestRow: what a host asks is a mean, beside the most of one.
func TestRow(t *testing.T) {
	r := result{hosts: []*counter{{}, {}}}
	r.hosts[0].requests.Add(10)
	r.hosts[1].requests.Add(21)
	r.hosts[1].writes.Add(3)
	r.hosts[1].refused.Add(1)
	r.hosts[0].read.Add(5000)
	if got := r.row(2, 1, "x"); got != "| 2 | 1 | x | 15.5 | 21 | 1.5 | 0.5 | 2.5 | 5 | 0.0 |" {
		t.Error(got)
	}
}
