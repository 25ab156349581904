//go:build deps

package main

import (
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite"
)
