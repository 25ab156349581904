package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
	"stretcher/internal/trust"
)

// verifyOptions are those of stretcher verify.
type verifyOptions struct {
	*app
	verify VerifyOptions
	json   bool
}

func newVerify(a *app) *cobra.Command {
	o := &verifyOptions{app: a}
	c := newCommand(&cobra.Command{
		Use:   "verify [--keys DIR] URL|FILE",
		Short: "tell which trusted keys have signed a manifest",
		Long: `Fetches a manifest and its signatures, as a deployment does, and tells which
trusted keys have signed it. Nothing is deployed, and the manifest is not read:
stretcher check does. With --keys, these keys are the question, and rules of the
host policy do not count; without it, its keys and its allow.manifests do.`,
		Example: `stretcher verify --keys keys s3://deploys/app.yml
stretcher verify --keys keys --threshold 2 app.yml`,
		RunE: a.runs(o.run),
	})
	f := c.Flags()
	f.Var(&textValue{&o.verify.Keys, "DIR"}, "keys", "trusted keys, *.pub (default: those of the host policy)")
	f.Var((*countValue)(&o.verify.Threshold), "threshold",
		"how many keys must have signed (default: as the host policy says, 1 with --keys)")
	asDirectory(f, "keys")
	declareJSON(f, &o.json)
	o.verify.Fetch.declareManifest(f)
	return c
}

func (o *verifyOptions) run(ctx context.Context, args []string) (_ int, err error) {
	switch {
	case len(args) != 1:
		return ExitUsage, failure.Usage("verify expects one URL or file, got %d arguments", len(args))
	case o.verify.Threshold == 0 && o.line.command.Flags().Changed("threshold"):
		return ExitUsage, failure.Usage("--threshold 0 asks for no signature")
	case o.verify.Threshold > policy.MaxThreshold:
		return ExitUsage, failure.Usage("--threshold %d is more than %d", o.verify.Threshold, policy.MaxThreshold)
	case o.verify.Keys == "" && o.line.has("keys"): // as of "$(something that printed nothing)"
		return ExitUsage, failure.Usage("--keys expects a directory")
	}
	o.verify.Settings = o.settings(o.verify.Settings)
	if o.verify.URL, err = fileURL(args[0]); err != nil {
		return Status(err), err
	}
	signers, err := o.actions.Verify(ctx, o.verify)
	if err == nil {
		err = o.print(signers)
	}
	return Status(err), asTyped(args[0], err)
}

// signerJSON is a signer for programs.
type signerJSON struct {
	File    string `json:"file"`
	Key     string `json:"key"`
	Comment string `json:"comment"`
}

// print tells who vouches.
func (o *verifyOptions) print(signers []trust.Signer) (err error) {
	for _, s := range signers {
		if o.json {
			err = printable.EncodeJSON(o.Stdout, signerJSON{s.File, s.ID, s.TrustedComment})
		} else {
			said := s.TrustedComment
			_, err = fmt.Fprintf(o.Stdout, "signed by %q, which says %q%s\n", s.File, said, signedAt(said))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// signedAt is the time that minisign's own comment has, for people; "" where it
// has none.
func signedAt(comment string) string {
	digits, _, _ := strings.Cut(strings.TrimPrefix(comment, "timestamp:"), "\t")
	seconds, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !strings.HasPrefix(comment, "timestamp:") || seconds < 0 || seconds > 1<<37 {
		return ""
	}
	return " (" + time.Unix(seconds, 0).UTC().Format(time.RFC3339) + ")"
}
