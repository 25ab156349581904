package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// What a package has of its payload in the header of signatures.
const (
	sizeTag    = 1000 // of header and payload
	payloadTag = 1007 // of the payload, not compressed
	leadSize   = 96
)

// relativeNames has the names in the payload of a package begin with a dot, as
// rpmbuild writes them. nfpm begins them with a slash: then rpm2cpio and cpio unpack
// into the system, and not below the directory that they are called in.
func relativeNames(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	signatures, err := headerSize(data, leadSize)
	if err != nil {
		return err
	}
	start := leadSize + (signatures+7)/8*8
	size, err := headerSize(data, start)
	if err != nil {
		return err
	}
	of, header, payload := data[leadSize:leadSize+signatures], data[start:start+size], data[start+size:]
	plain, err := gunzipped(payload)
	if err != nil {
		return err
	}
	names, err := dotted(plain)
	if err != nil {
		return err
	}
	packed := gzipped(names)
	newHeader, err := swap(header, sum256(payload), sum256(packed))
	if err != nil {
		return err
	}
	if err := resign(of, header, payload, newHeader, packed, len(names)); err != nil {
		return err
	}
	return writeFile(file, func(w io.Writer) error {
		_, err := w.Write(bytes.Join([][]byte{data[:start], newHeader, packed}, nil))
		return err
	})
}

// headerSize is the size of the header that begins at an offset.
func headerSize(data []byte, at int) (int, error) {
	if len(data) < at+16 || !bytes.HasPrefix(data[at:], []byte("\x8e\xad\xe8\x01")) {
		return 0, errors.New("no header of a package where one should be")
	}
	entries, store := binary.BigEndian.Uint32(data[at+8:]), binary.BigEndian.Uint32(data[at+12:])
	size := 16 + 16*int64(entries) + int64(store)
	if size > int64(len(data)-at) {
		return 0, errors.New("the header of a package is cut short")
	}
	return int(size), nil
}

// dotted puts a dot before each name of a cpio archive.
func dotted(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	for len(plain) >= 110 {
		size, err1 := strconv.ParseUint(string(plain[54:62]), 16, 32)
		length, err2 := strconv.ParseUint(string(plain[94:102]), 16, 16)
		end := aligned(110 + int(length))
		if err1 != nil || err2 != nil || length == 0 || len(plain) < end+aligned(int(size)) {
			return nil, errors.New("the payload of a package is no cpio archive")
		}
		name := string(plain[110 : 110+length-1])
		body := plain[end : end+aligned(int(size))]
		header := plain[:110]
		plain = plain[end+aligned(int(size)):]
		if strings.HasPrefix(name, "/") {
			name = "." + name
		}
		out.Write(header[:94])
		fmt.Fprintf(&out, "%08x", len(name)+1)
		out.Write(header[102:])
		out.WriteString(name)
		out.Write(make([]byte, aligned(110+len(name)+1)-110-len(name)))
		out.Write(body)
		if name == "TRAILER!!!" {
			out.Write(plain)
			return out.Bytes(), nil
		}
	}
	return nil, errors.New("the payload of a package has no end")
}

// aligned is what follows begins at.
func aligned(n int) int { return (n + 3) / 4 * 4 }

// resign tells the header of signatures what it is of now. nfpm writes no other
// digest there than SHA-256.
func resign(of, header, payload, newHeader, newPayload []byte, plain int) error {
	swapped, err := swap(of, sum256(header), sum256(newHeader))
	if err != nil {
		return err
	}
	copy(of, swapped)
	if err := setNumber(of, sizeTag, len(newHeader)+len(newPayload)); err != nil {
		return err
	}
	return setNumber(of, payloadTag, plain)
}

func setNumber(header []byte, tag uint32, n int) error {
	entries := int(binary.BigEndian.Uint32(header[8:]))
	for i := range entries {
		entry := header[16+16*i:]
		if binary.BigEndian.Uint32(entry) == tag {
			at := 16 + 16*entries + int(binary.BigEndian.Uint32(entry[8:]))
			binary.BigEndian.PutUint32(header[at:], uint32(n))
			return nil
		}
	}
	return fmt.Errorf("a package does not tell its size %d", tag)
}

// swap replaces what must be there once, by something of the same length.
func swap(in, before, after []byte) ([]byte, error) {
	if n := bytes.Count(in, before); n != 1 || len(before) != len(after) {
		return nil, fmt.Errorf("a digest is %d times in the header of a package", n)
	}
	return bytes.Replace(in, before, after, 1), nil
}

func sum256(b []byte) []byte {
	sum := sha256.Sum256(b)
	return hexed(sum[:])
}

func hexed(b []byte) []byte { return []byte(hex.EncodeToString(b)) }

func gunzipped(b []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b) // to memory
	_ = z.Close()
	return out.Bytes()
}
