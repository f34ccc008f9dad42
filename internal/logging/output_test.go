package logging

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/ramainen/doit-socket/internal/siotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counted returns the value of the only metric that is registered.
func counted(t *testing.T, metrics prometheus.Gatherer) float64 {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) != 1 || families[0].GetName() != "doit_log_lost_lines_total" {
		t.Fatalf("the metrics are %v", families)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}

// While the reader of the log does not read, nobody who logs waits. What there is
// no room for is lost, and counted, and the log says so when the reader reads
// again.
func TestStuckLog(t *testing.T) {
	read, write := io.Pipe() // takes nothing that is not read
	o := NewOutput(write)
	go o.Run()
	log := slog.New(slog.NewTextHandler(o, nil))
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(LostLines(o))
	const lines = 50_000
	for i := range lines {
		log.Info("a line of usual length, as it is logged for a request that is refused", "number", i)
	}
	lost := counted(t, metrics)
	if lost == 0 || lost > lines-1000 {
		t.Errorf("%v of %d lines are lost", lost, lines)
	}
	in := bufio.NewScanner(read)
	count := regexp.MustCompile(`log lines were lost.* lines=(\d+)$`)
	for got, told := 0, 0.0; got < lines-int(lost) || told == 0; {
		if !in.Scan() {
			t.Fatalf("%d lines arrived, %v are lost, %v are told of", got, lost, told)
		}
		if m := count.FindStringSubmatch(in.Text()); m == nil {
			got++
		} else if told, _ = strconv.ParseFloat(m[1], 64); told != lost {
			t.Errorf("%v lines are lost, the log tells of %v", lost, told)
		}
	}
	log.Info("afterwards")
	if !in.Scan() || !strings.Contains(in.Text(), "afterwards") {
		t.Errorf("the next line is %q", in.Text())
	}
	o.Close()
	if counted(t, metrics) != lost {
		t.Error("more are lost")
	}
}

// The reader of the log has gone: lines are lost and counted, and the program ends
// at once.
func TestLogWithoutReader(t *testing.T) {
	read, write := io.Pipe()
	_ = read.Close()
	o := NewOutput(write)
	go o.Run()
	for range 3 {
		fmt.Fprintln(o, "a line")
	}
	began := time.Now()
	o.Close()
	fmt.Fprintln(o, "after the end")
	if n := o.lostLines(); n != 4 || time.Since(began) >= flushTimeout {
		t.Errorf("%v lines are lost, the end took %v", n, time.Since(began))
	}
}

// The end of the program waits for the log's reader, but not for ever.
func TestEndWithStuckLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read, write := io.Pipe()
		o := NewOutput(write)
		go o.Run()
		fmt.Fprintln(o, "a line")
		began := time.Now()
		o.Close()
		if took := time.Since(began); took != flushTimeout {
			t.Errorf("it ended after %v", took)
		}
		_ = read.Close()
		<-o.ended
	})
}

// What was logged before the end is written.
func TestLogIsFlushed(t *testing.T) {
	var to siotest.Output
	o := NewOutput(&to)
	go o.Run()
	for i := range 1000 {
		fmt.Fprintln(o, "line", i)
	}
	o.Close()
	if n := strings.Count(to.String(), "\n"); n != 1000 || !strings.HasSuffix(to.String(), "line 999\n") {
		t.Errorf("%d lines", n)
	}
}
