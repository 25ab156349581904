package main

import "stretcher/internal/cli"

// What runs end with, as the tests of whole runs name it.
const (
	exitGood      = cli.ExitGood
	exitFailed    = cli.ExitFailed
	exitMalformed = cli.ExitMalformed
	exitRefused   = cli.ExitRefused
	exitBusy      = cli.ExitBusy
	exitSignal    = 128
)
