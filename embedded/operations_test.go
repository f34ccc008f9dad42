package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// docs/operations.md names exactly the metrics that the program has.
func TestMetricsAreDocumented(t *testing.T) {
	manual, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	admin := siotest.FreeAddress(t)
	out := serveOn(t, admin, "--cluster-listen", "127.0.0.1:0", "--cluster-secret", "a secret of enough characters")
	page := siotest.Dial(t, urlIn(t, out, "listens on "), siotest.Options{})
	page.Register("42")
	page.Close()
	names := func(text, pattern string) []string {
		var names []string
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
		}
		slices.Sort(names)
		return slices.Compact(names)
	}
	documented := names(string(manual), "`(doit_[a-z_]+)`")
	var got []string
	for deadline := 1000; deadline > 0 && !slices.Contains(got, "doit_gateway_closed_total"); deadline-- { // once the page is gone
		_, metrics := siotest.Get(t, "http://"+admin+"/metrics")
		got = names(metrics, `(?m)^# HELP (doit_[a-z_]+) `)
	}
	if !slices.Equal(got, documented) {
		t.Errorf("the program has\n%s\nthe manual\n%s", strings.Join(got, "\n"), strings.Join(documented, "\n"))
	}
}

// The status page says where the NATS server is, and names no address where nobody listens.
func TestStatusOfNATS(t *testing.T) {
	admin := siotest.FreeAddress(t)
	serveOn(t, admin)
	_, status := siotest.Get(t, "http://"+admin+"/")
	if strings.Count(status, " in this process\n") != 2 || strings.Contains(status, "nats://") {
		t.Error(status)
	}
}
