// Command pairs tells what a host fetches of a release when it has the one
// before. Usage:
//
//	go run ./bench/pairs PROGRAM NAME OLD NEW [NAME OLD NEW...]
//
// It prints the table of docs/performance.md. OLD and NEW are directories, the
// releases unpacked; bench/pairs.sh gets some. PROGRAM is the stretcher that
// deploys one after the other, from a server that counts what it sends.
package main

import (
	"context"
	"crypto/sha256"
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

const header = "| releases | files | changed | archive | index | by files | by members too | fetched |\n" +
	"|---|---|---|---|---|---|---|---|\n"

func run(args []string, out io.Writer) error {
	if len(args) < 4 || len(args)%3 != 1 {
		return errors.New("usage: pairs PROGRAM NAME OLD NEW [NAME OLD NEW...]")
	}
	if _, err := io.WriteString(out, header); err != nil {
		return err
	}
	program := args[0]
	for args = args[1:]; len(args) > 0; args = args[3:] {
		row, err := compare(program, args[1], args[2])
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		if _, err := fmt.Fprintf(out, "| %s | %s |\n", args[0], row); err != nil {
			return err
		}
	}
	return nil
}

// compare packs two directories, deploys them, and tells of the second.
func compare(program, older, newer string) (row string, err error) {
	site, err := newSite(program)
	if err != nil {
		return "", err
	}
	defer site.close()
	was, err := site.pack(older, "older")
	if err != nil {
		return "", err
	}
	is, err := site.pack(newer, "newer")
	if err != nil {
		return "", err
	}
	p := missing(was, is)
	if _, err := site.deploy("older"); err != nil {
		return "", err
	}
	sent, err := site.deploy("newer")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d | %d | %s | %s | %s | %s | %s", len(is.Files), p.changed, megabytes(is.Size),
		megabytes(int64(len(is.Encode()))), percent(p.byFiles, is.Size), percent(p.byMembers, is.Size),
		percent(sent, is.Size)), nil
}

// lack is what a host lacks of a release: bytes of the archive.
type lack struct {
	changed   int   // files with other contents than any of those that it has
	byFiles   int64 // if it has the older one's files
	byMembers int64 // if it has the older one's archive too
}

// missing finds what a host that has the one release lacks of the other.
func missing(was, is *index.Index) (l lack) {
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
		l.changed++
		first, last := is.Within(f.Start, f.Size)
		for m := max(first, next); m < last; m++ {
			l.byFiles += int64(is.Members[m].Length)
			if !kept[is.Members[m].Sum] {
				l.byMembers += int64(is.Members[m].Length)
			}
		}
		next = max(next, last)
	}
	return l
}

// packInto packs a directory into a file, and its index into another.
func packInto(dir, archive string) (*index.Index, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := os.Create(archive)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	res, err := pack.Write(context.Background(), root, f, pack.Options{})
	if err != nil {
		return nil, err
	}
	return res.Index, errors.Join(f.Close(), os.WriteFile(archive+".idx", res.Index.Encode(), 0o600))
}

// manifest is one for an archive with this index.
func manifest(url, dest string, x *index.Index) string {
	return fmt.Sprintf("src: %s\nchecksum: sha256:%x\nindex: sha256:%x\ndest: %s\nsync_strategy: native\n",
		url, x.Archive, sha256.Sum256(x.Encode()), dest)
}

func megabytes(n int64) string { return fmt.Sprintf("%.2f MB", float64(n)/1e6) }

func percent(n, of int64) string { return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(max(of, 1))) }
