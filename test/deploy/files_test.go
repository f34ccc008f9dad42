package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every variable that a file sets is one that a program knows: a misspelled one would say nothing.
func TestVariablesAreKnown(t *testing.T) {
	known := ""
	for _, program := range []string{"embedded", "gateway", "ingest"} {
		help, err := exec.Command(filepath.Join(binaries, program), "--help").Output()
		if err != nil {
			t.Fatal(err)
		}
		known += string(help)
	}
	files, err := filepath.Glob("../../deploy/*/*")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\bDOIT_[A-Z_]+\b`)
	for _, file := range append(files, "../../docker-compose.yml", "../../docs/deploy.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, variable := range named.FindAllString(string(text), -1) {
			if !regexp.MustCompile(`\$` + variable + `\b`).MatchString(known) {
				t.Errorf("%s: no program knows %s", file, variable)
			}
		}
	}
}

// The units are what systemd takes, without a warning.
func TestUnits(t *testing.T) {
	units, err := filepath.Glob("../../deploy/systemd/*.service")
	if err != nil || len(units) != 3 {
		t.Fatal(units, err)
	}
	dir := t.TempDir()
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		// It asks for the program itself too.
		there := strings.ReplaceAll(string(text), "/usr/local/bin/doit-socket", dir+"/doit-socket")
		unit = filepath.Base(unit)
		for path, file := range map[string]struct {
			text string
			mode os.FileMode
		}{unit: {there, 0o600}, strings.TrimSuffix(unit, ".service"): {"#!/bin/sh\n", 0o700}} {
			if err := os.WriteFile(filepath.Join(dir, path), []byte(file.text), file.mode); err != nil {
				t.Fatal(err)
			}
		}
		out, err := exec.Command("systemd-analyze", "verify", "--man=no", filepath.Join(dir, unit)).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}

// The manifests are what Kubernetes' own tool puts together.
func TestManifests(t *testing.T) {
	out, err := exec.Command("kubectl", "kustomize", "../../deploy").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, kind := range []string{"StatefulSet", "Deployment", "Service", "ConfigMap", "PodDisruptionBudget", "HorizontalPodAutoscaler", "Ingress"} {
		if !strings.Contains(string(out), "\nkind: "+kind+"\n") {
			t.Errorf("there is no %s in\n%s", kind, out)
		}
	}
}
