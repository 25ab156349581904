// Package webpage is what this program's pages for a browser have in common: one
// style, in light and dark, with a colour and a shape for each result; a policy by
// which a page asks for nothing else; and how texts of others are cut.
//
// It imports text/printable alone.
package webpage

import (
	"crypto/sha256"
	_ "embed" // for the style
	"encoding/base64"

	"stretcher/internal/text/printable"
)

//go:embed base.css
var baseCSS string

// Style is what all pages begin their style with.
func Style() string { return baseCSS }

// Policy is that of a page with one style and one script, or none (""), and with
// nothing of other hosts.
func Policy(style, script string) string {
	policy := "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; style-src " + source(style)
	if script != "" {
		policy += "; script-src " + source(script)
	}
	return policy
}

// source names a script or a style for a page's policy.
func source(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Cut escapes a text for people, and cuts it where it is longer than limit.
func Cut(text string, limit int) string { return printable.Cut(text, limit) }
