// Command bench helps bench/run.sh: it makes and changes trees of files,
// measures other programs, and prints tables of what it measured. Usage:
//
//	bench make DIR FILES SIZE BIG BIGSIZE  fill DIR: FILES of SIZE bytes on average, BIG of BIGSIZE
//	bench change DIR PERCENT               change that many of the files below DIR; print how many and their bytes
//	bench mark DIR                         print a mark of each regular file below DIR
//	bench fresh DIR MARKS                  print how many files are not as marked, and their bytes
//	bench measure STDIN COMMAND [ARG...]   run it; print seconds, CPU seconds, two peaks in KiB, bytes written
//	bench first PROGRAM DIR                print milliseconds from start to first command
//	bench median                           print the medians of the columns on standard input
//	bench deploys RESULTS ARCHIVE CHANGED  print the table of deploys; sizes in bytes
//	bench scale RESULTS FILES BYTES        print the rows of a table of deploys by size
//	bench serve ADDR DIR                   serve the files of DIR over HTTP
//	bench shape ADDR TO RATE RTT           pass connections on, each with RATE (50MB a second; 0 = any) and RTT (20ms)
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

var errUsage = errors.New(
	"usage: bench make|change|mark|fresh|measure|first|median|deploys|scale|serve|shape, with arguments")

func run(args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	name, rest := args[0], args[1:]
	switch {
	case name == "make" && len(rest) == 5:
		n, err := numbers(rest[1:])
		if err != nil {
			return err
		}
		return makeTree(rest[0], shape{files: n[0], size: n[1], big: n[2], bigSize: n[3]})
	case name == "change" && len(rest) == 2:
		n, err := numbers(rest[1:])
		if err != nil {
			return err
		}
		return changeTree(rest[0], n[0], os.Stdout)
	case name == "mark" && len(rest) == 1:
		return mark(rest[0], os.Stdout)
	case name == "fresh" && len(rest) == 2:
		return fresh(rest[0], rest[1], os.Stdout)
	case name == "measure" && len(rest) > 1:
		return measure(rest[0], rest[1:])
	case name == "first" && len(rest) == 2:
		return first(rest[0], rest[1])
	case name == "median" && len(rest) == 0:
		return medians(os.Stdin, os.Stdout)
	case (name == "deploys" || name == "scale") && len(rest) == 3:
		return report(name, rest)
	case name == "serve" && len(rest) == 2:
		return serveDir(rest[0], rest[1])
	case name == "shape" && len(rest) == 4:
		return shaping(rest[0], rest[1], rest[2], rest[3])
	default:
		return errUsage
	}
}

// report prints one of the tables: args are the name of the file with the
// results and two numbers.
func report(name string, args []string) error {
	n, err := numbers(args[1:])
	if err != nil {
		return err
	}
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	rs, err := readResults(f)
	if err != nil {
		return err
	}
	if name == "scale" {
		return scaleRows(os.Stdout, rs, n[0], n[1])
	}
	return deployTable(os.Stdout, rs, n[0], n[1])
}

func numbers(args []string) ([]int, error) {
	ns := make([]int, len(args))
	for i, arg := range args {
		n, err := strconv.Atoi(arg)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q is not a number", arg)
		}
		ns[i] = n
	}
	return ns, nil
}
