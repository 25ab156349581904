package dist

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// documents is where packages have the pages.
const documents = "/usr/share/doc/stretcher/"

// unpackedArchive is the tree of the archive of a release.
func unpackedArchive(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	output(t, "tar", "-C", dir, "-xzf", filepath.Join(released(t), "stretcher_2.0.0_linux_amd64.tar.gz"))
	return filepath.Join(dir, "stretcher_2.0.0_linux_amd64")
}

// TestLinksOfWhatIsReleased: each link of each page of an archive and of a package
// leads to a file, and a heading, that is there too.
func TestLinksOfWhatIsReleased(t *testing.T) {
	for kind, dir := range map[string]string{
		"archive": unpackedArchive(t), "package": filepath.Join(unpackedDeb(t), documents),
	} {
		pages := testparts.Pages(t, dir)
		if len(pages) < 30 {
			t.Errorf("%s: pages: %q", kind, pages)
		}
		for _, page := range pages {
			for _, dead := range testparts.DeadLinks(t, dir, page) {
				t.Errorf("%s: %s: link to %s", kind, page, dead)
			}
		}
	}
}

// TestDocumentsOfAllPackages: the others have the files of Debian's, whose links are
// followed.
func TestDocumentsOfAllPackages(t *testing.T) {
	pages := func(files []string) (pages []string) {
		for _, file := range files {
			if strings.HasPrefix(file, documents) && file != documents+"changelog.gz" {
				pages = append(pages, file)
			}
		}
		slices.Sort(pages)
		return pages
	}
	want := pages(debFiles(t))
	for kind, files := range map[string][]string{"rpm": rpmFiles(t), "apk": apkFiles(t)} {
		if got := pages(files); len(want) < 50 || !slices.Equal(got, want) {
			t.Errorf("%s: %q, Debian's has %q", kind, got, want)
		}
	}
}

// TestExamplesStartFromWhatIsReleased: who has an archive, or the package, starts the
// scripts from where they lie, and they find the program and the units.
func TestExamplesStartFromWhatIsReleased(t *testing.T) {
	archive, deb := unpackedArchive(t), unpackedDeb(t)
	for _, place := range []struct{ examples, path string }{
		{filepath.Join(archive, "examples"), ""},
		{filepath.Join(deb, documents, "examples"), filepath.Join(deb, "usr/bin") + ":"},
	} {
		for _, name := range []string{"policy", "pull"} {
			dir := t.TempDir()
			cmd := exec.Command(filepath.Join(place.examples, name, "run.sh"))
			cmd.Env = []string{"PATH=" + place.path + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir}
			out, err := cmd.CombinedOutput()
			switch testparts.ExitStatus(err) {
			case 0:
			case 77:
				testparts.Missing(t, "%s", out)
			default:
				t.Errorf("%s: %v\n%s", cmd.Path, err, out)
			}
			if !regexp.MustCompile(`(?m)^=== `).Match(out) {
				t.Errorf("%s tries nothing:\n%s", cmd.Path, out)
			}
		}
	}
}
