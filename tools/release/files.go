package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// sumsFile is the name of the list of sums; signatures of it begin with it.
const sumsFile = "SHA256SUMS"

// writeTar packs a directory, in the order of names.
func writeTar(name, prefix, dir string, when time.Time) error {
	return writeFile(name, func(w io.Writer) error {
		if !strings.HasSuffix(name, ".gz") {
			return pack(w, prefix, dir, when)
		}
		// A writer that nobody has told a name or a time writes none.
		z := gzip.NewWriter(w)
		if err := pack(z, prefix, dir, when); err != nil {
			return err
		}
		return z.Close()
	})
}

func pack(w io.Writer, prefix, dir string, when time.Time) error {
	t := tar.NewWriter(w)
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		name := path.Join(prefix, filepath.ToSlash(below))
		if name == "." {
			return nil
		}
		return add(t, name, file, d, when)
	})
	if err != nil {
		return err
	}
	return t.Close()
}

// add writes one file or directory; nothing else is released. Modes are those of
// everybody, whatever the umask was.
func add(t *tar.Writer, name, file string, d fs.DirEntry, when time.Time) error {
	info, err := d.Info()
	switch {
	case err != nil:
		return err
	case d.IsDir():
		return t.WriteHeader(directory(name, 0o755, when))
	case !info.Mode().IsRegular():
		return fmt.Errorf("%q is no file and no directory", file)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	mode := int64(0o644)
	if info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	return put(t, name, mode, data, when)
}

func directory(name string, mode int64, when time.Time) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode, ModTime: when, Format: tar.FormatPAX}
}

func put(t *tar.Writer, name string, mode int64, data []byte, when time.Time) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(data)), ModTime: when,
		Format: tar.FormatPAX}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	_, err := t.Write(data)
	return err
}

// writeSums lists the files of a directory as sha256sum does. What is below it
// is in one of them too.
func writeSums(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var list bytes.Buffer
	for _, e := range entries {
		if !e.Type().IsRegular() || strings.HasPrefix(e.Name(), sumsFile) {
			continue
		}
		sum, err := sumOf(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&list, "%x  %s\n", sum, e.Name())
	}
	return writeFile(filepath.Join(dir, sumsFile), func(w io.Writer) error {
		_, err := w.Write(list.Bytes())
		return err
	})
}

func sumOf(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return h.Sum(nil), err
}

func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	err = write(f)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
