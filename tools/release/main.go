// Release makes what `make dist` has no other program for, with the same bytes on
// every machine: archives, the container image, the list of sums.
//
//	release tar FILE PREFIX DIR                DIR as a tar archive, PREFIX/ before its names; .gz compresses
//	release image DIR VERSION PLATFORM=FILE... programs as an OCI image layout, one for each platform
//	release rpm FILE                           has a package unpack below where one is
//	release sums DIR                           DIR/SHA256SUMS, of the files in DIR
//
// Files belong to root and have the time that SOURCE_DATE_EPOCH says.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

const usage = "usage: release tar FILE PREFIX DIR | image DIR VERSION PLATFORM=FILE... | rpm FILE | sums DIR"

func main() {
	if err := run(os.Args[1:], os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		fmt.Fprintf(os.Stderr, "release: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, epoch string) error {
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil || seconds < 0 {
		return fmt.Errorf("SOURCE_DATE_EPOCH is %q, and not a number of seconds", epoch)
	}
	when := time.Unix(seconds, 0).UTC()
	switch {
	case len(args) == 4 && args[0] == "tar":
		return writeTar(args[1], args[2], args[3], when)
	case len(args) >= 4 && args[0] == "image":
		return writeImage(args[1], args[2], args[3:], when)
	case len(args) == 2 && args[0] == "rpm":
		return relativeNames(args[1])
	case len(args) == 2 && args[0] == "sums":
		return writeSums(args[1])
	}
	return fmt.Errorf("%s", usage)
}
