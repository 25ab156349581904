// Command pairs tells what a host fetches of a release when it has the one
// before. Usage:
//
//	go run ./bench/pairs NAME OLD NEW [NAME OLD NEW...]   print the table of docs/performance.md
//
// OLD and NEW are directories, the releases unpacked; bench/pairs.sh gets some.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"stretcher/internal/archive/index"
	"stretcher/internal/archive/pack"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "pairs: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) == 0 || len(args)%3 != 0 {
		return errors.New("usage: pairs NAME OLD NEW [NAME OLD NEW...]")
	}
	fmt.Fprintln(out, "| releases | files | changed | archive | index | needed | of a kept archive | with index |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|")
	for ; len(args) > 0; args = args[3:] {
		p, err := compare(args[1], args[2])
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		fmt.Fprintf(out, "| %s | %d | %d | %s | %s | %s | %s | %s |\n", args[0], p.files, p.changed, megabytes(p.archive),
			megabytes(p.index), percent(p.needed, p.archive), percent(p.unkept, p.archive), percent(p.unkept+p.index, p.archive))
	}
	return nil
}

// pair is what is known of two releases: files and bytes of the newer one.
type pair struct {
	files, changed int
	archive, index int64
	needed         int64 // bytes of the members with what the older one's files do not have
	unkept         int64 // of these, bytes of members that the older archive does not have
}

func compare(older, newer string) (pair, error) {
	was, err := indexOf(older)
	if err != nil {
		return pair{}, err
	}
	is, err := indexOf(newer)
	if err != nil {
		return pair{}, err
	}
	p := pair{files: len(is.Files), archive: is.Size, index: int64(len(is.Encode()))}
	has := map[index.Sum]bool{}
	for i := range was.Files {
		has[was.Files[i].Sum] = true
	}
	kept := map[index.Sum]bool{}
	for i := range was.Members {
		kept[was.Members[i].Sum] = true
	}
	next := 0 // member that has not been counted
	for i := range is.Files {
		f := &is.Files[i]
		if has[f.Sum] {
			continue
		}
		p.changed++
		first, last := is.Within(f.Start, f.Size)
		for m := max(first, next); m < last; m++ {
			p.needed += int64(is.Members[m].Length)
			if !kept[is.Members[m].Sum] {
				p.unkept += int64(is.Members[m].Length)
			}
		}
		next = max(next, last)
	}
	return p, nil
}

// indexOf packs a directory and forgets the archive.
func indexOf(dir string) (*index.Index, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	res, err := pack.Write(context.Background(), root, io.Discard, pack.Options{})
	return res.Index, err
}

func megabytes(n int64) string { return fmt.Sprintf("%.2f MB", float64(n)/1e6) }

func percent(n, of int64) string { return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(max(of, 1))) }
