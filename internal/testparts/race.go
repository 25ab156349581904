//go:build race

package testparts

// Race tells whether the test has the race detector.
const Race = true
