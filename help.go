package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// helpText is what --help prints.
func helpText(f *pflag.FlagSet) string {
	var b strings.Builder
	b.WriteString(`stretcher deploys what a manifest describes.

usage:
  stretcher [flags] [URL]      deploy; without URL, read an event from standard input
  stretcher check URL|FILE     parse and validate a manifest; print what would run
  stretcher plan URL|FILE      fetch, verify and compare with dest; change nothing; exit 0 nothing to do, 10 changes; --json
  stretcher rollback DEST      back to what was good there before, or --to RUN
  stretcher history [DEST]     what ran here: a table, or --json, --html FILE, --run ID, --log ID
  stretcher status DEST        for monitoring: exit 0 good, 1 last run failed, 2 never deployed, 3 a run died
  stretcher hooks list [URL]   which hooks would run, at which point, from where, in what order; --json, --watch
  stretcher hooks run NAME URL run the manifest's hooks of that name; what they print and their exit status are passed on
  stretcher hooks install URL  lay out a hook pod below --hooks-root: pods/EVENT/NAME and, to be run, exec/EVENT; --event
  stretcher version            print the version

The URL of a manifest begins with s3://, gs://, https://, http:// or file://.
Standard input may hold a URL on one line, the JSON array that consul watch
hands over, or the payload of a Serf user event.

examples:
  consul watch -type event -name deploy stretcher
  serf agent -event-handler="user:deploy=stretcher >> /var/log/stretcher.log 2>&1"
  ssh host stretcher s3://deploys/app.yml
  echo s3://deploys/app.yml | stretcher

flags (one dash or two):
`)
	b.WriteString(f.FlagUsages())
	b.WriteString(`
exit status:
`)
	for _, e := range exitTable() {
		fmt.Fprintf(&b, "  %-13s %s\n", e[0], e[1])
	}
	return b.String()
}

// exitTable is the exit statuses as README and help list them.
func exitTable() [][2]string {
	return [][2]string{
		{"0", "deployed, or nothing to do"},
		{"1", "a step failed"},
		{"2", "wrong usage"},
		{"3", "the event, manifest or archive is malformed"},
		{"4", "refused: checksum, policy, limit or unsafe archive"},
		{"10", "plan: dest would change"},
		{"75", "another run holds the lock on dest and the wait is over"},
		{"129, 130, 143", "interrupted by SIGHUP, SIGINT or SIGTERM, after failure commands and clean-up"},
		{"", "Under consul watch (CONSUL_INDEX is set) it is 0 whatever happened, save for 2;"},
		{"", "--strict-exit turns that off. hooks run exits with the status of the first hook"},
		{"", "that failed; 128 and the signal's number when a signal ended it."},
	}
}
