package main

import "testing"

func TestGarbage(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 1000}, {1 << 20, 1000}, {3 << 20, 900}, {10 << 20, 200}, {20 << 20, 50}, {22 << 20, 40}, {30 << 20, 40},
		{31 << 20, 40}, {1 << 40, 40},
	} {
		got := gcPercentOf(c.live)
		if got != c.want {
			t.Errorf("%d bytes in use: %d %%, want %d", c.live, got, c.want)
		}
		if heap := c.live + c.live*uint64(got)/100; heap > max(gcLeast, c.live*14/10+1) {
			t.Errorf("%d bytes in use: %d with garbage", c.live, heap)
		}
	}
}
