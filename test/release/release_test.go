//go:build release

package release

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// version is the tag of the clones that are built.
const version = "v1.987.6-rc.1"

var (
	made string // the directory of the release that the tests look at
	tool string // the program that makes releases
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "doit-socket-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		made, tool = filepath.Join(dir, "made"), filepath.Join(dir, "tool")
		err = run(nil, "go", "build", "-C", "../../tools/release", "-o", tool, ".")
		if err == nil {
			err = build(filepath.Join(dir, "clone"), made, "")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// build clones the repository, gives the clone a tag and makes a release of it.
func build(clone, out, only string, env ...string) error {
	return errors.Join(
		run(nil, "git", "clone", "--quiet", "../..", clone),
		run(nil, "git", "-C", clone, "tag", "--no-sign", version),
		run(env, tool, "-o", out, "-only", only, clone),
	)
}

// run runs a command with more variables. The error has what it says.
func run(env []string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, said)
	}
	return nil
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A release has the files that documents name, and SHA256SUMS is right about each.
func TestReleaseIsWhole(t *testing.T) {
	if got := list(t, made); !slices.Equal(got, all) {
		t.Errorf("the files are %v, want %v", got, all)
	}
	var sums strings.Builder
	for _, name := range all[1:] {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(read(t, filepath.Join(made, name))), name)
	}
	if got := string(read(t, filepath.Join(made, all[0]))); got != sums.String() {
		t.Errorf("SHA256SUMS is\n%s, want\n%s", got, sums.String())
	}
}

// Another clone at another path, with nothing from the cache of the first build, in another time zone and with settings
// of Go, gives the same bytes.
func TestReleaseIsReproducible(t *testing.T) {
	dir := t.TempDir()
	again := filepath.Join(dir, "again")
	err := build(filepath.Join(dir, "at another path"), again, "linux_amd64",
		"GOCACHE="+filepath.Join(dir, "cache"), "TZ=Asia/Tokyo", "GOFLAGS=-tags=nosuch", "GOAMD64=v2", "SOURCE_DATE_EPOCH=1")
	if err != nil {
		t.Fatal(err)
	}
	names := list(t, again)
	if len(names) != 4 {
		t.Fatalf("the files are %v", names)
	}
	for _, name := range names[1:] {
		if !bytes.Equal(read(t, filepath.Join(again, name)), read(t, filepath.Join(made, name))) {
			t.Errorf("%s has other bytes in a second build", name)
		}
	}
}

// What is not committed is not released in silence.
func TestReleaseIsOfACommit(t *testing.T) {
	dir := t.TempDir()
	clone := filepath.Join(dir, "clone")
	if err := run(nil, "git", "clone", "--quiet", "../..", clone); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(clone, "embedded", "more.go"), []byte("package main\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(nil, tool, "-o", filepath.Join(dir, "out"), clone); err == nil || !strings.Contains(err.Error(), "embedded/more.go") {
		t.Errorf("a release with a file that is not committed: %v", err)
	}
}

// isProgram reports whether a file of an archive is a program.
func isProgram(path string) bool {
	return strings.HasPrefix(filepath.Base(path), "doit-socket") && filepath.Ext(path) != ".service"
}

// unpack returns the files of an archive, by name.
func unpack(t *testing.T, archive string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	content := read(t, filepath.Join(made, archive))
	if strings.HasSuffix(archive, ".zip") {
		in, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range in.File {
			entry, err := in.Open(f.Name)
			if err != nil {
				t.Fatal(err)
			}
			if files[f.Name], err = io.ReadAll(entry); err != nil {
				t.Fatal(err)
			}
		}
		return files
	}
	compressed, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	for in := tar.NewReader(compressed); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		mode := int64(0o644)
		if isProgram(header.Name) {
			mode = 0o755
		}
		if header.Mode != mode || header.Uid != 0 || header.Gid != 0 {
			t.Errorf("%s: %s has mode %o and owner %d:%d", archive, header.Name, header.Mode, header.Uid, header.Gid)
		}
		if files[header.Name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
	}
}

// Each archive holds its programs, for its platform, static, with the version of the tag and the Socket.IO client, and
// the licences of what is in them.
func TestReleaseArchives(t *testing.T) {
	client := "Socket.IO v" + strings.TrimSpace(string(read(t, "../../clients/browser/VERSION")))
	for _, archive := range all {
		name, _, found := strings.Cut(strings.TrimSuffix(archive, ".zip"), ".tar.gz")
		part := strings.Split(name, "_") // bundle, system, architecture
		if !found && !strings.HasSuffix(archive, ".zip") {
			continue
		}
		goos := strings.Replace(part[1], "macos", "darwin", 1)
		want := []string{"LICENSE", "NOTICE"}
		programs := map[string][]string{"doit-socket": {"doit-socket"}, "doit-socket-cluster": {"doit-socket-gateway", "doit-socket-ingest"}}[part[0]]
		for _, program := range programs {
			switch goos {
			case "linux":
				want = append(want, program, program+".service")
			case "windows":
				want = append(want, program+".exe")
			default:
				want = append(want, program)
			}
		}
		files := unpack(t, archive)
		for i := range want {
			want[i] = part[0] + "/" + want[i]
		}
		if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", archive, got, want)
			continue
		}
		for _, text := range []string{"LICENSE", "NOTICE"} {
			if !bytes.Equal(files[part[0]+"/"+text], read(t, "../../"+text)) {
				t.Errorf("%s has another %s than the repository", archive, text)
			}
		}
		for path, content := range files {
			if !isProgram(path) {
				continue
			}
			info, err := buildinfo.Read(bytes.NewReader(content))
			if err != nil {
				t.Errorf("%s: %s: %v", archive, path, err)
				continue
			}
			got := map[string]string{"version": info.Main.Version}
			for _, s := range info.Settings {
				got[s.Key] = s.Value
			}
			for key, value := range map[string]string{"version": version, "GOOS": goos, "GOARCH": part[2], "CGO_ENABLED": "0", "vcs.modified": "false", "-trimpath": "true"} {
				if got[key] != value {
					t.Errorf("%s: %s: %s is %q, want %q", archive, path, key, got[key], value)
				}
			}
			if goos == "linux" {
				static(t, path, content)
			}
			if !strings.HasSuffix(path, "ingest") && !bytes.Contains(content, []byte(client)) {
				t.Errorf("%s: %s does not contain %q", archive, path, client)
			}
		}
	}
}

// static checks that a program of Linux needs no library of the system.
func static(t *testing.T, path string, content []byte) {
	t.Helper()
	program, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		t.Error(path, err)
		return
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			t.Errorf("%s is linked dynamically", path)
		}
	}
}
