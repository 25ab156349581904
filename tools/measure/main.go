// Measure counts what keeps the program easy to find one's way in, and fails
// when a measure is over its limit: files at the root, rooms in internal/, the
// widest struct, the type with most methods, files of the root that call each
// other, tests on which sync strategy it is, long lines. It checks which package
// imports which against tools/layers.txt too.
//
// Its words: a room is a directory of internal/; production code is what is not a
// test; a pair is two files that call each other.
//
//	measure [DIRECTORY]   the module's root, by default the directory above tools/
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// measure is one number and its limit.
type measure struct {
	name    string
	value   int
	limit   int
	details []string // what makes the number too high
}

// measures are all of them, in the order in which they are printed.
func measures(m *module) []measure {
	return []measure{
		rootFiles(m),
		rooms(m),
		widestStruct(m),
		mostMethods(m),
		rootPairs(m),
		strategyTests(m),
		longLines(m),
		layers(m),
	}
}

func main() {
	root := ".."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	over, err := run(os.Stdout, root)
	if err != nil {
		fmt.Fprintf(os.Stderr, "measure: %v\n", err)
		os.Exit(2)
	}
	if over {
		os.Exit(1)
	}
}

// run prints all measures and tells whether one is over its limit.
func run(w io.Writer, root string) (over bool, err error) {
	m, err := load(root)
	if err != nil {
		return false, err
	}
	all := measures(m)
	if m.err != nil {
		return false, m.err
	}
	for _, x := range all {
		over = x.print(w) || over
	}
	return over, nil
}

// print tells whether the measure is over its limit, and if so why.
func (x measure) print(w io.Writer) (over bool) {
	verdict := "ok"
	if over = x.value > x.limit; over {
		verdict = "FAILED"
	}
	fmt.Fprintf(w, "lint: %s: %d, at most %d: %s\n", x.name, x.value, x.limit, verdict)
	if !over {
		return false
	}
	const most = 20
	for i, line := range x.details {
		if i == most {
			fmt.Fprintf(w, "    and %d more\n", len(x.details)-most)
			break
		}
		fmt.Fprintln(w, "    "+line)
	}
	return true
}

// rootFiles counts the production files at the root.
func rootFiles(m *module) measure {
	var names []string
	for _, f := range m.files {
		if f.dir == "." && !f.test {
			names = append(names, f.name)
		}
	}
	return measure{"files at the root", len(names), 10, []string{strings.Join(names, " ")}}
}

// rooms counts the directories of internal/.
func rooms(m *module) measure {
	var names []string
	for _, f := range m.files {
		if rest, inside := strings.CutPrefix(f.dir, "internal/"); inside {
			room, _, _ := strings.Cut(rest, "/")
			names = append(names, room)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return measure{"rooms in internal/", len(names), 15, []string{strings.Join(names, " ")}}
}

// longLines counts the lines of more than 120 characters.
func longLines(m *module) measure {
	const most = 120
	var long []string
	for _, f := range m.files {
		for i, line := range strings.Split(string(f.text), "\n") {
			if n := len([]rune(line)); n > most {
				long = append(long, fmt.Sprintf("%s:%d: %d", filepath.Join(f.dir, f.name), i+1, n))
			}
		}
	}
	return measure{"lines over 120 characters", len(long), 0, long}
}
