//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A report is what is kept of a run, as JSON beside the document.
type report struct {
	Date     time.Time            `json:"date"`
	Took     string               `json:"took"`
	Command  string               `json:"command"`
	Commit   string               `json:"commit"`
	Machine  string               `json:"machine"`
	Versions []string             `json:"versions"`
	Missing  []string             `json:"missing,omitempty"`
	Faults   []string             `json:"faults,omitempty"` // parts that were not measured to their end
	Figures  map[string][]Figures `json:"figures"`          // by server, one for each run of each scenario
}

func newReport(ctx context.Context, root string) *report {
	said := func(name string, args ...string) string {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		if err != nil {
			return ""
		}
		line, _, _ := strings.Cut(string(out), "\n")
		return strings.TrimSpace(line)
	}
	var kept []string
	for _, version := range []string{
		said("go", "version"),
		said("node", "-p", "const of = (name) => name + ' ' + require('./test/load/peers/node/node_modules/' + name + '/package.json').version;"+
			"['node ' + process.version, of('socket.io'), of('express')].join(', ')"),
		said("nginx", "-v"),
		said("dpkg-query", "-W", "libnginx-mod-nchan"),
		said(os.Getenv("CENTRIFUGO_BIN"), "version"),
	} {
		if version != "" {
			kept = append(kept, version)
		}
	}
	return &report{
		Date:     time.Now().UTC(),
		Command:  "test/load " + strings.Join(os.Args[1:], " "),
		Commit:   said("git", "describe", "--always", "--dirty"),
		Machine:  machine(),
		Versions: kept,
		Figures:  make(map[string][]Figures),
	}
}

// machine is the machine in a line.
func machine() string {
	field := func(file, name string) string {
		content, _ := os.ReadFile(file)
		for line := range strings.SplitSeq(string(content), "\n") {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
				return strings.TrimSpace(value)
			}
		}
		return "unknown"
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	tracked := ""
	if n, _ := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count"); len(n) > 0 && n[0] != '0' {
		tracked = ", connections are tracked by a packet filter"
	}
	return fmt.Sprintf("%d cores of %s, %s of memory, Linux %s%s", runtime.NumCPU(), field("/proc/cpuinfo", "model name"),
		field("/proc/meminfo", "MemTotal"), strings.TrimSpace(string(kernel)), tracked)
}

func (r *report) add(server string, f Figures) { r.Figures[server] = append(r.Figures[server], f) }

// median is that of a figure over the runs: of "server scenario.quantity_unit".
func (r *report) median(name string) (figure float64, measured bool) {
	server, key, _ := strings.Cut(name, " ")
	var all []float64
	for _, f := range r.Figures[server] {
		if figure, ok := f[key]; ok {
			all = append(all, figure)
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	return median(all), true
}

// table has the medians, a figure a line.
func (r *report) table() string {
	var keys []string
	columns, rule := "| |", "| --- |"
	for _, k := range kinds {
		if len(r.Figures[k.name]) == 0 {
			continue
		}
		columns, rule = columns+" "+k.name+" |", rule+" --: |"
		for _, f := range r.Figures[k.name] {
			for key := range f {
				if !slices.Contains(keys, key) {
					keys = append(keys, key)
				}
			}
		}
	}
	slices.Sort(keys)
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n%s\n", columns, rule)
	for _, key := range keys {
		fmt.Fprintf(&out, "| %s |", key)
		for _, k := range kinds {
			if len(r.Figures[k.name]) == 0 {
				continue
			}
			if figure, ok := r.median(k.name + " " + key); ok {
				fmt.Fprintf(&out, " %s |", number(figure))
			} else {
				out.WriteString(" |")
			}
		}
		out.WriteString("\n")
	}
	return out.String()
}

// number is a figure with as many digits as mean something.
func number(figure float64) string {
	switch {
	case figure >= 100:
		return fmt.Sprintf("%.0f", figure)
	case figure >= 10:
		return fmt.Sprintf("%.1f", figure)
	}
	return fmt.Sprintf("%.2f", figure)
}

func (f Figures) String() string {
	var words []string
	for key, figure := range f {
		words = append(words, key+" "+number(figure))
	}
	slices.Sort(words)
	return strings.Join(words, "  ")
}

// head says when, where and how.
func (r *report) head() string {
	return fmt.Sprintf("%s, commit %s, in %s: `%s`.\n%s.\n%s.\n\n", r.Date.Format("2006-01-02 15:04 MST"), r.Commit, r.Took, r.Command, r.Machine, strings.Join(r.Versions, "; "))
}

// write keeps the figures as JSON, draws the plots, and puts the text between
// the two lines of benchmarks.md that name the section.
func (r *report) write(docs, section, text string) error {
	folder := filepath.Join(docs, "benchmarks")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	kept, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	files := map[string][]byte{section + ".json": append(kept, '\n')}
	var pictures strings.Builder
	for _, p := range plots {
		if image, ok := p.draw(r); ok {
			files[p.file] = image
			fmt.Fprintf(&pictures, "![%s](benchmarks/%s)\n", p.title, p.file)
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	document := filepath.Join(docs, "benchmarks.md")
	old, err := os.ReadFile(document)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	begin, end := fmt.Sprintf("<!-- %s, written by test/load -->\n", section), fmt.Sprintf("<!-- end of %s -->\n", section)
	before, rest, ok := strings.Cut(string(old), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no section %q to put the figures into", document, section)
	}
	written := before + begin + "\n" + r.head() + text + "\n" + pictures.String() + "\n" + end + after
	if err := os.WriteFile(document, []byte(written), 0o644); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
