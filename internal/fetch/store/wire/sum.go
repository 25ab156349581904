package wire

import (
	"crypto/sha256"
	"encoding/hex"
)

// SumKey is the name of the metadata that holds an object's SHA-256.
const SumKey = "stretcher-sha256"

// SumOf is its value.
func SumOf(sum [sha256.Size]byte) string { return hex.EncodeToString(sum[:]) }

// ReadSum reads it; nil where it is none.
func ReadSum(value string) *[sha256.Size]byte {
	sum, err := hex.DecodeString(value)
	if err != nil || len(sum) != sha256.Size {
		return nil
	}
	return (*[sha256.Size]byte)(sum)
}
