// Package release runs what `make release` makes. With the build tag release, it builds the commit that is checked out,
// not the work tree.
package release

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// all are the files of a release, sorted. They have no version in their names, so that addresses in documents stay.
var all = []string{
	"SHA256SUMS",
	"doit-socket-cluster_linux_amd64.tar.gz", "doit-socket-cluster_linux_arm64.tar.gz",
	"doit-socket_amd64.deb", "doit-socket_arm64.deb",
	"doit-socket_linux_amd64.tar.gz", "doit-socket_linux_arm64.tar.gz", "doit-socket_macos_amd64.tar.gz", "doit-socket_macos_arm64.tar.gz",
	"doit-socket_windows_amd64.zip", "doit-socket_windows_arm64.zip",
}

// Every file of a release that a document names is one that `make release` makes.
func TestReleaseHasWhatDocumentsName(t *testing.T) {
	var documents []string
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../docs/decisions/*.md", "../../.github/workflows/*.yml"} {
		some, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, some...)
	}
	named, found := regexp.MustCompile(`\bdoit-socket[a-z-]*_[a-z0-9_.-]*\.(deb|tar\.gz|zip|exe)\b`), 0
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range named.FindAllString(string(text), -1) {
			if found++; !slices.Contains(all, name) {
				t.Errorf("%s names %s, which no release has", document, name)
			}
		}
	}
	if found < 5 {
		t.Errorf("documents name %d files of a release: the test does not find them", found)
	}
}
