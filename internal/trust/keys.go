package trust

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"aead.dev/minisign"

	"stretcher/internal/disk"
	"stretcher/internal/text/failure"
)

// maxKeyFile bounds a file with a public key, in bytes: minisign reads comments
// of a kilobyte.
const maxKeyFile = 4 << 10

// Keys are the public keys of one directory.
type Keys struct {
	dir  string
	list []key // by the names of their files
}

// key is a public key in a file. The same key may be in several.
type key struct {
	id     string
	file   string // its name in the directory
	public minisign.PublicKey
}

// LoadKeys reads the public keys in a directory: the files *.pub. Nobody but
// root and the caller may have had a hand in the directory or the files. Other
// names, and those that begin with a dot, are no keys. A key file that is not
// understood is an error, and so is a directory without any: errors wrap
// failure.ErrRefused.
func LoadKeys(dir string) (*Keys, error) {
	k, err := loadKeys(dir)
	if err != nil {
		return nil, failure.Hinted(failure.Hint(err), failure.Refused("trusted keys %q: %w", dir, err))
	}
	return k, nil
}

func loadKeys(dir string) (*Keys, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	open, err := disk.OpenTrustedDir(abs)
	if err != nil {
		return nil, cause(err)
	}
	defer open.Close()
	entries, err := fs.ReadDir(open.Root().FS(), ".") // by name
	if err != nil {
		return nil, cause(err)
	}
	k := &Keys{dir: dir}
	for _, e := range entries {
		name := e.Name()
		counts, err := isKeyFile(name)
		if err != nil {
			return nil, err
		}
		if !counts {
			continue
		}
		public, err := readKey(filepath.Join(open.Path(), name))
		if err != nil {
			return nil, failure.Hinted(failure.Hint(err), fmt.Errorf("%q: %w", name, err))
		}
		k.list = append(k.list, key{id: idOf(public), file: name, public: public})
	}
	if len(k.list) == 0 {
		return nil, failure.Hinted("stretcher keygen makes a key; its public half goes there as NAME.pub",
			errors.New("there is no *.pub in it"))
	}
	return k, nil
}

// isKeyFile tells whether a file counts by its name. One that its author may take
// for one that counts is an error.
func isKeyFile(name string) (bool, error) {
	ext := filepath.Ext(name)
	switch {
	case strings.HasPrefix(name, "."):
		return false, nil
	case ext == ".pub":
		return true, nil
	case strings.EqualFold(ext, ".pub"):
		return false, fmt.Errorf("%q does not count: only names that end in .pub do", name)
	}
	return false, nil
}

// cause is a file's error without its path, which is said already.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) && !errors.Is(err, failure.ErrRefused) {
		return at.Err
	}
	return err
}

// Has tells whether a key with this id is among them.
func (k *Keys) Has(id string) bool {
	return slices.ContainsFunc(k.list, func(have key) bool { return have.id == id })
}

// distinct is how many keys there are.
func (k *Keys) distinct() int {
	ids := map[string]bool{}
	for _, have := range k.list {
		ids[have.id] = true
	}
	return len(ids)
}

func readKey(path string) (minisign.PublicKey, error) {
	f, err := disk.OpenTrusted(path)
	if err != nil {
		return minisign.PublicKey{}, cause(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return minisign.PublicKey{}, cause(err)
	}
	if len(data) > maxKeyFile {
		return minisign.PublicKey{}, fmt.Errorf("larger than %d bytes", maxKeyFile)
	}
	return parseKey(data)
}

// parseKey reads a file as minisign writes it: a comment and a key; blank lines
// may follow. A file with more, or with a key that is written in another way than
// minisign's, might be taken for another one by somebody else.
func parseKey(data []byte) (minisign.PublicKey, error) {
	list := lines(data)
	for len(list) > 1 && list[len(list)-1] == "" {
		list = list[:len(list)-1]
	}
	if len(list) == 2 && strings.HasPrefix(list[0], untrusted) {
		list = list[1:]
	}
	var public minisign.PublicKey
	if len(list) != 1 {
		return public, errors.New("not one public key of minisign's: a line with a comment and one with the key")
	}
	if err := public.UnmarshalText([]byte(list[0])); err != nil || public.String() != list[0] {
		return minisign.PublicKey{}, errors.New("no public key of minisign's")
	}
	if weak(material(public)) {
		return minisign.PublicKey{}, errors.New("anybody can sign by this key: its point is of small order")
	}
	return public, nil
}

// idOf is the id of a key.
func idOf(public minisign.PublicKey) string {
	sum := sha256.Sum256(material(public))
	return hex.EncodeToString(sum[:])
}

// material is the key itself: what stands after the algorithm and minisign's
// key id.
func material(public minisign.PublicKey) []byte {
	raw, _ := base64.StdEncoding.DecodeString(public.String())
	return raw[len(raw)-ed25519.PublicKeySize:]
}

// weak tells whether a key is a point of small order: there are signatures by
// it that nobody needs a secret for. libsodium refuses the same.
func weak(point []byte) bool {
	masked := bytes.Clone(point)
	masked[len(masked)-1] &= 0x7f // the sign
	return slices.Contains(smallOrder(), hex.EncodeToString(masked))
}

// smallOrder are the points of small order in all their encodings, without
// sign.
func smallOrder() []string {
	return []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	}
}
