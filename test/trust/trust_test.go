// Package trust attacks a host whose policy wants signed manifests: over HTTP, by
// a server that does what it likes. The attacks are those of the TUF
// specification (https://theupdateframework.github.io/specification, 1.5.2), a
// row of the table for each.
//
// After an attack the program must have refused, no command have run, dest and
// all else be as it was, and no request have been made that the host does not
// allow. Where there are mirrors, or a mistake that can be made good, the right
// thing must have been deployed instead.
package trust

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"stretcher/internal/testparts"
)

// TestMain removes the program that the tests have built.
func TestMain(m *testing.M) { testparts.Main(m) }

// attack is one way to try it.
type attack struct {
	name string
	try  func(h *host)
}

// row is a kind of attack.
type row struct {
	name    string
	attacks []attack
}

// table is the attacks of the specification, in the order of its section 1.5.2.
func table() []row {
	return []row{
		{"arbitrary installation", slicesOf(arbitraryBytes(), arbitrarySignatures(), arbitraryWays())},
		{"endless data", slicesOf(endlessData(), endlessArchives())},
		{"extraneous dependencies", extraneousDependencies()},
		{"fast-forward", fastForward()},
		{"indefinite freeze", indefiniteFreeze()},
		{"malicious mirrors", maliciousMirrors()},
		{"mix-and-match", mixAndMatch()},
		{"rollback", slicesOf(rollback(), rollbackOfSerials(), rollbackOfKept())},
		{"slow retrieval", slowRetrieval()},
		{"vulnerability to key compromises", slicesOf(keyCompromise(), keyFiles())},
		{"wrong software installation", slicesOf(wrongSoftware(), wrongPlaces(), wrongURLs())},
	}
}

func slicesOf(lists ...[]attack) (all []attack) {
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

// TestAttacks tries all of the table, and prints the figure that docs/security.md
// has.
func TestAttacks(t *testing.T) {
	t.Parallel()
	rows := table()
	refused := make([]atomic.Int32, len(rows))
	t.Run("row", func(t *testing.T) {
		for i, row := range rows {
			for _, a := range row.attacks {
				t.Run(row.name+"/"+a.name, func(t *testing.T) {
					t.Parallel()
					a.try(newHost(t))
					if !t.Failed() {
						refused[i].Add(1)
					}
				})
			}
		}
	})
	whole, cases := 0, 0
	for i, row := range rows {
		n := int(refused[i].Load())
		cases += n
		if n == len(row.attacks) && n > 0 {
			whole++
		}
		t.Logf("%s: %d of %d", row.name, n, len(row.attacks))
	}
	t.Log(figure(whole, cases))
}

// figure says how many attacks were refused.
func figure(rows, cases int) string {
	return fmt.Sprintf("attacks refused: %d of %d rows, %d cases", rows, len(table()), cases)
}

// TestFigureIsDocumented: docs/security.md says how many attacks are tried.
func TestFigureIsDocumented(t *testing.T) {
	cases := 0
	for _, row := range table() {
		cases += len(row.attacks)
	}
	text, err := os.ReadFile("../../docs/security.md")
	must(t, err)
	if want := figure(len(table()), cases); !strings.Contains(string(text), want) {
		t.Errorf("docs/security.md does not say %q", want)
	}
}
