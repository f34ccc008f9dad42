//go:build linux

package main

import (
	"bytes"
	"fmt"
	"html"
	"strings"
)

// A plot is bars: a figure of several servers, or several figures of one.
type plot struct {
	file  string
	title string
	bars  []bar
}

// A bar is a figure: "server scenario.quantity_unit".
type bar struct{ label, figure string }

// ofEach is a bar for each server.
func ofEach(figure string) []bar {
	var bars []bar
	for _, k := range kinds {
		bars = append(bars, bar{k.about, k.name + " " + figure})
	}
	return bars
}

var plots = []plot{
	{"single.svg", "CPU of the server per event, one receiver an emit, µs", ofEach("single.cpu_us")},
	{"several.svg", "CPU of the server per event, 100 receivers an emit, µs", ofEach("several.cpu_us")},
	{"fanout.svg", "CPU of the server per delivery, one emit to 3,000 sockets, µs", ofEach("fanout.cpu_us")},
	{"crowd.svg", "CPU of the server per delivery, eight pages that emit to 3,000 sockets, µs", ofEach("crowd.cpu_us")},
	{"last.svg", "One emit to 3,000 sockets: when the last has it, ms", ofEach("fanout.last_ms")},
	{"latency.svg", "2,000 emits a second: p99 from the scheduled moment to delivery, ms", ofEach("open.p99_ms")},
	{"idle.svg", "Memory of an idle socket, of 3,000, KiB", ofEach("idle.rss_kib")},
	{"many.svg", "Memory of an idle socket, of 15,000, KiB", ofEach("many.rss_kib")},
	{"connects.svg", "Connects a second, with register", ofEach("idle.connects_per_second")},
	{"scale.svg", "CPU of doit-socket per event, as the number of sockets grows, µs", []bar{
		{"3,000 sockets", "embedded scale3000.cpu_us"}, {"10,000", "embedded scale10000.cpu_us"}, {"19,500", "embedded scale19500.cpu_us"}}},
	{"rates.svg", "CPU of doit-socket per event, as the number of emits grows, µs", []bar{
		{"100 emits a second", "embedded rate100.cpu_us"}, {"1,000", "embedded rate1000.cpu_us"}, {"2,000", "embedded open.cpu_us"},
		{"5,000", "embedded rate5000.cpu_us"}, {"10,000", "embedded rate10000.cpu_us"}, {"as many as it can", "embedded single.cpu_us"}}},
}

// draw draws the plot as SVG, if there is anything to draw.
func (p plot) draw(r *report) (image []byte, ok bool) {
	const left, right, line, head = 320, 80, 26, 40
	const wide = 360 // the longest bar
	type measured struct {
		bar
		figure float64
	}
	var all []measured
	most := 0.0
	for _, b := range p.bars {
		if figure, ok := r.median(b.figure); ok {
			all = append(all, measured{b, figure})
			most = max(most, figure)
		}
	}
	if len(all) == 0 {
		return nil, false
	}
	var out bytes.Buffer
	width, height := left+wide+right, head+line*len(all)+10
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", width, height, width, height)
	fmt.Fprintf(&out, `<rect width="100%%" height="100%%" fill="#fff"/><text x="10" y="22" font-weight="bold" fill="#222">%s</text>`+"\n", html.EscapeString(p.title))
	for i, m := range all {
		y, colour := head+line*i, "#9aa5b1"
		if strings.HasPrefix(m.bar.figure, "embedded ") || strings.HasPrefix(m.bar.figure, "programs ") {
			colour = "#1f6feb"
		}
		fmt.Fprintf(&out, `<text x="%d" y="%d" text-anchor="end" fill="#222">%s</text>`, left-8, y+15, html.EscapeString(m.label))
		fmt.Fprintf(&out, `<rect x="%d" y="%d" width="%.1f" height="18" fill="%s"/>`, left, y+1, max(1, m.figure/most*wide), colour)
		fmt.Fprintf(&out, `<text x="%.1f" y="%d" fill="#222">%s</text>`+"\n", left+m.figure/most*wide+6, y+15, number(m.figure))
	}
	out.WriteString("</svg>\n")
	return out.Bytes(), true
}
