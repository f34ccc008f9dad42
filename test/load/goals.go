//go:build linux

package main

import (
	"fmt"
	"strings"
)

// A goal is what a figure of ours must not exceed, or reach: as a share of
// another figure, or as it is.
type goal struct {
	what   string
	ours   string // server and figure
	than   string // a figure to divide by; none is 1
	most   float64
	least  float64 // in place of most
	beyond float64 // what would be better still; told, not demanded
}

// rival is the server that the goals mean by Node's Socket.IO: with Express,
// as the server that ours succeeds, and nearly all there are.
const rival = "express"

var goals = []goal{
	{what: "single emit, CPU per event: of Node's", ours: "embedded single.cpu_us", than: rival + " single.cpu_us", most: 0.27, beyond: 0.22},
	{what: "the same as three programs: of Node's", ours: "programs single.cpu_us", than: rival + " single.cpu_us", most: 0.60},
	{what: "several receivers, CPU per event: of a single one's", ours: "embedded several.cpu_us", than: "embedded single.cpu_us", most: 0.30},
	{what: "memory of an idle socket: of Node's", ours: "embedded idle.rss_kib", than: rival + " idle.rss_kib", most: 0.50},
	{what: "memory of an idle socket, of 15,000: KiB", ours: "embedded many.rss_kib", most: 8, beyond: 5},
	{what: "fan-out, CPU per delivery: of Node's", ours: "embedded fanout.cpu_us", than: rival + " fanout.cpu_us", most: 0.52},
	{what: "fan-out, CPU per delivery: of Node's without Express", ours: "embedded fanout.cpu_us", than: "node fanout.cpu_us", most: 0.52},
	{what: "fan-out, CPU per delivery: of nchan's", ours: "embedded fanout.cpu_us", than: "nchan fanout.cpu_us", most: 0.85},
	{what: "fan-out, when the last socket has it: of Node's", ours: "embedded fanout.last_ms", than: rival + " fanout.last_ms", most: 1},
	{what: "fan-outs of eight pages at once, CPU per delivery: of Node's", ours: "embedded crowd.cpu_us", than: rival + " crowd.cpu_us", most: 0.45},
	{what: "fan-outs of eight pages at once, CPU per delivery: of nchan's", ours: "embedded crowd.cpu_us", than: "nchan crowd.cpu_us", most: 1},
	{what: "2,000 emits a second, p99 to delivery: of Node's", ours: "embedded open.p99_ms", than: rival + " open.p99_ms", most: 0.3},
	{what: "CPU per event with 19,500 sockets: of that with 3,000", ours: "embedded scale19500.cpu_us", than: "embedded scale3000.cpu_us", most: 1.15},
	{what: "connects a second, with register: of Node's", ours: "embedded idle.connects_per_second", than: rival + " idle.connects_per_second", least: 2.5},
}

// verdict is a table of the goals. What was not measured is said, and fails nothing.
func (r *report) verdict() (table string, failed bool) {
	var out strings.Builder
	out.WriteString("| goal | ours | theirs | ratio | bound | | of Node's without Express |\n| --- | --: | --: | --: | --: | --- | --: |\n")
	for _, g := range goals {
		ours, ok := r.median(g.ours)
		theirs, shown, told := 1.0, "", ""
		if g.than != "" {
			var measured bool
			theirs, measured = r.median(g.than)
			shown, ok = number(theirs), ok && measured
			if after, found := strings.CutPrefix(g.than, rival); found {
				if lean, measured := r.median("node" + after); measured && ok {
					told = fmt.Sprintf("%.2f", ours/lean)
				}
			}
		}
		if !ok {
			fmt.Fprintf(&out, "| %s | | | | | not measured | |\n", g.what)
			continue
		}
		ratio, bound, met := ours/theirs, fmt.Sprintf("≤ %g", g.most), ours/theirs <= g.most
		if g.least > 0 {
			bound, met = fmt.Sprintf("≥ %g", g.least), ratio >= g.least
		}
		word := "PASS"
		if !met {
			word, failed = "**FAIL**", true
		} else if g.beyond > 0 && ratio <= g.beyond {
			word = fmt.Sprintf("PASS, and ≤ %g", g.beyond)
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %.2f | %s | %s | %s |\n", g.what, number(ours), shown, ratio, bound, word, told)
	}
	return out.String(), failed
}
