package cli

import (
	"slices"
	"strings"
)

// Commands are the words of all commands that help lists, but the root
// command's.
func Commands() (all []string) {
	for _, c := range newApp(Process{}, Actions{}).commands() {
		if c.HasParent() && !c.Hidden {
			all = append(all, strings.Join(path(c), " "))
		}
	}
	return all
}

// Flags are the names of all flags, in alphabetical order.
func Flags() (all []string) {
	for name := range newApp(Process{}, Actions{}).flags() {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
