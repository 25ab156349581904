package testparts

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Pages are the Markdown files at and below a directory, by their paths from there.
func Pages(t testing.TB, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		// What a developer has there is not the project's.
		if d.IsDir() && filepath.Dir(path) == dir && slices.Contains([]string{".tools", ".git", "dist"}, d.Name()) {
			return fs.SkipDir
		}
		if name, err := filepath.Rel(dir, path); err == nil && strings.HasSuffix(name, ".md") {
			names = append(names, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// DeadLinks follows the links of a page to other files below dir, and to headings, and
// tells of those that lead nowhere. What leads out of dir is nowhere: dir may be all
// that there is.
func DeadLinks(t testing.TB, dir, page string) (dead []string) {
	t.Helper()
	for _, link := range links(readPage(t, filepath.Join(dir, page))) {
		target, anchor, _ := strings.Cut(link, "#")
		if strings.Contains(target, ":") { // https://, mailto:
			continue
		}
		file := page
		if target != "" {
			file = filepath.Join(filepath.Dir(page), filepath.FromSlash(target))
		}
		if !filepath.IsLocal(file) {
			dead = append(dead, fmt.Sprintf("%s leads out of what there is", link))
		} else if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			dead = append(dead, fmt.Sprintf("%s: %v", link, err))
		} else if anchor != "" && !slices.Contains(anchors(readPage(t, filepath.Join(dir, file))), anchor) {
			dead = append(dead, fmt.Sprintf("%s: there is no such heading", link))
		}
	}
	return dead
}

// links are what a page links to: by [text](target), by [name]: target, by HTML.
func links(page string) (all []string) {
	page = withoutCode(page)
	for _, pattern := range []string{
		`\]\(\s*<?([^)\s>]+)`, `(?m)^ {0,3}\[[^\]\n]+\]:\s*<?([^\s>]+)`, `(?i)\b(?:href|src|srcset)\s*=\s*["']([^"'\s]+)`,
	} {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(page, -1) {
			all = append(all, m[1])
		}
	}
	return all
}

// anchors are the headings of a page as links name them.
func anchors(page string) (all []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(withoutBlocks(page), -1) {
		text := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(text, " ", "-"))
	}
	return all
}

// withoutBlocks is a page without its blocks of code.
func withoutBlocks(page string) string {
	return regexp.MustCompile("(?ms)^ *```.*?^ *```$").ReplaceAllString(page, "")
}

// withoutCode is a page without any code.
func withoutCode(page string) string {
	return regexp.MustCompile("`[^`\n]*`").ReplaceAllString(withoutBlocks(page), "code")
}

func readPage(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
