// Command release builds what is published for a commit: archives of the programs for each platform, Debian packages,
// and their checksums. `make release` runs it.
//
// It builds a clone, so that files that are not committed cannot get in. Two builds of a commit by the same version of
// Go are the same bytes: the version and all times are those of the commit, as Go stamps them into the programs.
package main

import (
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A platform is a value of GOOS and one of GOARCH.
type platform struct{ os, arch string }

// String returns the platform as names of archives have it.
func (p platform) String() string {
	if p.os == "darwin" {
		return "macos_" + p.arch
	}
	return p.os + "_" + p.arch
}

// A program is a name and the package that it is built from. Its unit for systemd has the same name.
type program struct{ name, pkg string }

// A bundle is what one archive holds, for each of some platforms.
type bundle struct {
	name      string // of the archive, without the platform, and of the folder in it
	programs  []program
	platforms []platform
}

var (
	linux   = []platform{{"linux", "amd64"}, {"linux", "arm64"}}
	others  = []platform{{"darwin", "amd64"}, {"darwin", "arm64"}, {"windows", "amd64"}, {"windows", "arm64"}}
	bundles = []bundle{
		{"doit-socket", []program{{"doit-socket", "./embedded"}}, append(linux, others...)},
		{"doit-socket-cluster", []program{{"doit-socket-gateway", "./gateway"}, {"doit-socket-ingest", "./ingest"}}, linux},
	}
)

func main() {
	out := flag.String("o", "", "the `directory` for the files; it must be empty or not exist")
	only := flag.String("only", "", "build for this platform only, as in `linux_amd64`")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: release -o DIRECTORY [-only PLATFORM] REPOSITORY")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *out == "" || flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := makeRelease(flag.Arg(0), *out, *only); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// A release is built for one commit.
type release struct {
	work    string    // a directory for what is built
	out     string    // the directory for what is published
	version string    // as in v1.2.3, "" until the first program is built
	time    time.Time // of the commit
}

// makeRelease builds the commit that is checked out in the repository, and changes to a clone of it.
func makeRelease(repository, out, only string) error {
	out, err := emptyDirectory(out)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "doit-socket-release-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := clone(repository, filepath.Join(work, "source")); err != nil {
		return err
	}
	if err := run(exec.Command("clients/browser/fetch.sh")); err != nil {
		return fmt.Errorf("the Socket.IO client, which the programs serve: %w", err)
	}
	r := release{work: work, out: out}
	for _, b := range bundles {
		for _, on := range b.platforms {
			if only != "" && only != on.String() {
				continue
			}
			if err := r.publish(b, on); err != nil {
				return fmt.Errorf("%s for %s: %w", b.name, on, err)
			}
		}
	}
	return writeSums(out)
}

// emptyDirectory makes a directory and returns its absolute path.
func emptyDirectory(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(path, 0o755); err != nil { //nolint:gosec // everybody may read a release
		return "", err
	}
	entries, err := os.ReadDir(path)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty: its files would look like a part of the release", path)
	}
	return path, err
}

// clone copies the commit that is checked out, and changes to the copy.
func clone(repository, to string) error {
	status := exec.Command("git", "-C", repository, "status", "--porcelain")
	status.Stderr = os.Stderr
	changes, err := status.Output()
	if err != nil {
		return fmt.Errorf("git status: %w", err)
	}
	if len(changes) > 0 {
		return fmt.Errorf("a release is of a commit, and these files are not committed: commit or remove them\n%s", changes)
	}
	if err := run(exec.Command("git", "clone", "--quiet", repository, to)); err != nil {
		return err
	}
	return os.Chdir(to)
}

// publish builds the programs of a bundle and writes the archive, and for doit-socket on Linux the Debian package.
func (r *release) publish(b bundle, on platform) error {
	files := []file{{name: "LICENSE", path: "LICENSE"}, {name: "NOTICE", path: "NOTICE"}}
	for _, p := range b.programs {
		path, err := r.build(p, on)
		if err != nil {
			return err
		}
		files = append(files, file{name: filepath.Base(path), path: path, executable: true})
		if on.os == "linux" {
			files = append(files, file{name: p.name + ".service", path: unit(p)})
		}
	}
	archive := filepath.Join(r.out, b.name+"_"+on.String())
	if on.os == "windows" {
		return writeZip(archive+".zip", b.name, files, r.time)
	}
	if err := writeTar(archive+".tar.gz", b.name, files, r.time); err != nil {
		return err
	}
	if on.os != "linux" || b.name != "doit-socket" {
		return nil
	}
	return r.writeDeb(b.programs[0], on)
}

// unit returns the path of a program's unit.
func unit(p program) string { return "deploy/systemd/" + p.name + ".service" }

// build builds a program and returns its path.
func (r *release) build(p program, on platform) (path string, err error) {
	path = filepath.Join(r.work, on.String(), p.name)
	if on.os == "windows" {
		path += ".exe"
	}
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=true", "-mod=readonly", "-ldflags=-s -w", "-o", path, p.pkg) //nolint:gosec // constants
	// Settings of the environment that would change the programs are set to their defaults.
	build.Env = append(os.Environ(), "GOOS="+on.os, "GOARCH="+on.arch, "CGO_ENABLED=0", "GOAMD64=v1", "GOARM64=v8.0", "GOWORK=off", "GOFLAGS=-trimpath")
	if err := run(build); err != nil {
		return "", err
	}
	return path, r.identify(path)
}

// identify takes the version and the time from what Go has stamped into a program.
func (r *release) identify(path string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return err
	}
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if settings["vcs.modified"] != "false" || !strings.HasPrefix(info.Main.Version, "v") {
		return fmt.Errorf("it is stamped with the version %q and modified=%q, so it is not of a commit", info.Main.Version, settings["vcs.modified"])
	}
	stamped, err := time.Parse(time.RFC3339, settings["vcs.time"])
	if err != nil {
		return err
	}
	if r.version == "" {
		r.version, r.time = info.Main.Version, stamped.UTC()
		fmt.Println(r.version, r.time.Format(time.RFC3339), info.GoVersion)
	}
	if r.version != info.Main.Version {
		return errors.New("it is of version " + info.Main.Version + ", and others are of " + r.version)
	}
	return nil
}

// run runs a command to its end, and shows what it says.
func run(cmd *exec.Cmd) error {
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return nil
}
