package cli

import (
	"context"
	"io"
	"testing"
)

// BenchmarkDeploy is what the command line costs each deployment.
func BenchmarkDeploy(b *testing.B) {
	p := Process{Args: []string{"stretcher", "-timeout", "30", "s3://b/k"}, Environ: []string{"HOME=/nowhere"},
		Stdout: io.Discard, Stderr: io.Discard}
	deploy := func(context.Context, DeployOptions) (string, error) { return "", nil }
	nothing := Actions{Deploying: Deploying{Deploy: deploy}}
	for b.Loop() {
		if status := Main(b.Context(), p, nothing); status != ExitGood {
			b.Fatal(status)
		}
	}
}
