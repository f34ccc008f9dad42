//go:build programs

package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

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
