package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
)

// writeDeb writes the Debian package of a program that has been built, as deploy/deb/nfpm.yaml describes it.
func (r *release) writeDeb(p program, on platform) error {
	built := filepath.Join(r.work, on.String())
	text, err := os.ReadFile(unit(p))
	if err != nil {
		return err
	}
	packaged := bytes.ReplaceAll(text, []byte("/usr/local/bin/"), []byte("/usr/bin/")) // /usr/local is not for packages
	if bytes.Equal(packaged, text) {
		return errors.New(unit(p) + " does not start /usr/local/bin/" + p.name)
	}
	licence, err := os.ReadFile("LICENSE")
	if err != nil {
		return err
	}
	notice, err := os.ReadFile("NOTICE")
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		p.name + ".service": packaged,
		"copyright":         bytes.Join([][]byte{licence, notice}, []byte("\n")), // Debian's name for both
	} {
		if err := os.WriteFile(filepath.Join(built, name), content, 0o600); err != nil {
			return err
		}
	}
	values := map[string]string{"BUILT": built, "ARCH": on.arch, "VERSION": strings.TrimPrefix(r.version, "v")}
	config, err := nfpm.ParseFileWithEnvMapping("deploy/deb/nfpm.yaml", func(name string) string { return values[name] })
	if err != nil {
		return err
	}
	config.MTime = r.time
	info, err := config.Get("deb")
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := deb.Default.Package(nfpm.WithDefaults(info), &out); err != nil {
		return err
	}
	return writeFile(filepath.Join(r.out, p.name+"_"+on.arch+".deb"), out.Bytes())
}
