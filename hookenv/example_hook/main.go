// Command example_hook is a directory hook in Go: before an installation it
// makes sure that the destination's parent exists and says what is coming.
// Put it into the hook directory itself; at other events it does nothing.
package main

import (
	"fmt"
	"os"

	"stretcher/hookenv"
)

func main() {
	env := hookenv.CurrentEnv()
	env.ExitUnlessEvent(hookenv.BeforeInstall)
	if err := prepare(env); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func prepare(env *hookenv.HookEnv) error {
	root, err := env.SystemPodRoot()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	m, err := env.Manifest()
	if err != nil {
		return err
	}
	fmt.Printf("%s %s is coming to %s\n", m.Name, m.Version, m.Dest)
	return nil
}
