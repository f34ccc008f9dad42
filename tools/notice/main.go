// Command notice writes the file NOTICE: the licences of the modules that are linked into the programs, of Go's
// standard library and of the Socket.IO client that the programs serve. `make notice` runs it.
//
// It reads the module cache and needs no network. It looks for files of licences in the folder of each linked package
// and in the folders above it, up to the module's. Equal texts are written once.
package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// programs are the packages that are linked into what is passed on.
var programs = []string{"./embedded", "./gateway", "./ingest"}

// platforms are those of the images and releases, as GOOS and GOARCH. What is linked differs.
var platforms = [][2]string{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}, {"windows", "amd64"}, {"windows", "arm64"}}

// socketIOClient is the licence of the client script, which clients/browser embeds when it has been fetched.
//
//go:embed socket.io-client.txt
var socketIOClient string

func main() {
	text, err := notice(".")
	if err == nil {
		_, err = os.Stdout.Write(text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "notice:", err)
		os.Exit(1)
	}
}

// A pkg is what `go list -json` says of a package.
type pkg struct {
	Dir    string
	Module *struct {
		Path, Version, Dir string
		Main               bool
	}
}

// A licence is a text and the software that it is for.
type licence struct {
	text string
	of   []string
}

// notice returns the text of NOTICE for the repository at root.
func notice(root string) ([]byte, error) {
	version, err := os.ReadFile(filepath.Join(root, "clients/browser/VERSION"))
	if err != nil {
		return nil, err
	}
	var all []*licence
	add := func(text, of string) {
		text = tidy(text)
		for _, l := range all {
			if l.text == text {
				if !slices.Contains(l.of, of) {
					l.of = append(l.of, of)
				}
				return
			}
		}
		all = append(all, &licence{text, []string{of}})
	}
	files, err := licenceFiles(root)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		text, err := os.ReadFile(f.path)
		if err != nil {
			return nil, err
		}
		add(string(text), f.of)
		if strings.HasPrefix(f.of, "golang.org/x/sys ") && f.name == "LICENSE" {
			add(string(text), "The Go standard library and runtime") // whose LICENSE is the same file
		}
	}
	add(socketIOClient, "socket.io-client "+strings.TrimSpace(string(version))+" (the client script)")

	var out bytes.Buffer
	fmt.Fprintf(&out, "doit-socket is under the licence in the file LICENSE. Its programs contain the following software, for which these\n"+
		"licences and notices hold. `make notice` writes this file.\n")
	for _, l := range all {
		slices.Sort(l.of)
	}
	slices.SortFunc(all, func(a, b *licence) int {
		return strings.Compare(strings.ToLower(a.of[0]+a.text), strings.ToLower(b.of[0]+b.text))
	})
	for _, l := range all {
		fmt.Fprintf(&out, "\n%s\n\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(l.of, "\n"), l.text)
	}
	return out.Bytes(), nil
}

// A licenceFile is a file of a licence and the module that it is of.
type licenceFile struct{ path, name, of string }

// licenceName matches names of files that hold a licence or a notice.
var licenceName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([-._].*)?$`)

// licenceFiles returns the files for all linked packages, sorted. A module without a file is an error.
func licenceFiles(root string) ([]licenceFile, error) {
	packages, err := linked(root)
	if err != nil {
		return nil, err
	}
	found := make(map[string]licenceFile) // by path
	has := make(map[string]bool)          // modules, and whether a file was found
	for _, p := range packages {
		if p.Module == nil || p.Module.Main {
			continue // the standard library, and ours
		}
		of := p.Module.Path + " " + p.Module.Version
		has[of] = has[of] || false
		for dir := p.Dir; strings.HasPrefix(dir, p.Module.Dir); dir = filepath.Dir(dir) {
			entries, err := os.ReadDir(dir)
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				if e.Type().IsRegular() && licenceName.MatchString(e.Name()) && filepath.Ext(e.Name()) != ".go" {
					path := filepath.Join(dir, e.Name())
					found[path] = licenceFile{path, e.Name(), of}
					has[of] = true
				}
			}
		}
	}
	var files []licenceFile
	for _, f := range found {
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b licenceFile) int { return strings.Compare(a.of+a.path, b.of+b.path) })
	for of, ok := range has {
		if !ok {
			return nil, fmt.Errorf("%s has no file of a licence: look for its licence by hand", of)
		}
	}
	return files, nil
}

// linked returns the packages that are linked into the programs on any platform.
func linked(root string) ([]pkg, error) {
	var all []pkg
	for _, platform := range platforms {
		list := exec.Command("go", append([]string{"list", "-deps", "-json=Dir,Module"}, programs...)...) //nolint:gosec // constants
		list.Dir = root
		list.Env = append(os.Environ(), "GOOS="+platform[0], "GOARCH="+platform[1], "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
		out, err := list.Output()
		if err != nil {
			var failed *exec.ExitError
			if errors.As(err, &failed) {
				err = fmt.Errorf("%w: %s", err, failed.Stderr)
			}
			return nil, fmt.Errorf("go list: %w", err)
		}
		for in := json.NewDecoder(bytes.NewReader(out)); ; {
			var p pkg
			if err := in.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("the output of go list: %w", err)
			}
			all = append(all, p)
		}
	}
	return all, nil
}

// tidy returns a text without spaces at the ends of lines and blank lines around it.
func tidy(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t\f\ufeff")
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}
