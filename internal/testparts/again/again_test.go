package again

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	os.Exit(Main(m, func(args []string) error {
		fmt.Printf("%q", args)
		if len(args) > 0 && args[0] == "fail" {
			return errors.New("it failed")
		}
		return nil
	}))
}

func TestCommand(t *testing.T) {
	for _, c := range []struct {
		args       []string
		said, errs string
		exit       int
	}{
		{nil, "[]", "", 0},
		{[]string{"a b", "-test.run=x", ""}, `["a b" "-test.run=x" ""]`, "", 0},
		{[]string{"fail"}, `["fail"]`, "it failed\n", 1},
	} {
		cmd := Command(c.args...)
		var errs strings.Builder
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if string(out) != c.said || errs.String() != c.errs || cmd.ProcessState.ExitCode() != c.exit {
			t.Errorf("%q: says %q and %q, %v; want %q, %q and %d", c.args, out, errs.String(), err, c.said, c.errs, c.exit)
		}
	}
}
