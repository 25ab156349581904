package cli

import (
	"io"
	"testing"
)

// BenchmarkTable is what the table of commands costs each start.
func BenchmarkTable(b *testing.B) {
	for b.Loop() {
		a := newApp(Process{Stdout: io.Discard, Stderr: io.Discard}, Actions{})
		args, err := a.read([]string{"-timeout", "30", "s3://b/k"})
		if err != nil {
			b.Fatal(err)
		}
		a.root.SetArgs(args)
	}
}
