package daemon

import (
	"fmt"
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/budget"
)

const (
	// leastMemory and mostMemory bound --max-memory, in bytes.
	leastMemory = 16 << 20
	mostMemory  = 1 << 42
	// otherMemory is the memory that is assumed where neither the system nor a
	// cgroup says how much there is, in bytes.
	otherMemory = 2 << 30
)

// MemoryConfig bounds the memory of the process.
type MemoryConfig struct {
	MaxMemory int64 `placeholder:"BYTES" help:"Most bytes that may wait for slow browsers, for delivery, or to be read completely, all together. Beyond it new requests are refused, and what holds the most is cut: sockets with long queues, incomplete messages and bodies. The default is half of what the process may use, which is the least of GOMEMLIMIT, and nine tenths of the limit of its cgroup and of the machine's memory."`
}

// Validate returns an error if the bound is out of range.
func (c MemoryConfig) Validate() error {
	if c.MaxMemory != 0 && (c.MaxMemory < leastMemory || c.MaxMemory > mostMemory) {
		return fmt.Errorf("--max-memory is %d: it must be %d to %d bytes, or 0 for the default", c.MaxMemory, int64(leastMemory), int64(mostMemory))
	}
	return nil
}

// budget returns the budget of the process. If GOMEMLIMIT is not set, it sets
// Go's limit to twice the budget: the budget does not count what garbage takes.
func (c MemoryConfig) budget() *budget.Budget {
	limit := c.MaxMemory
	goLimit := debug.SetMemoryLimit(-1)
	if limit == 0 {
		limit = max(leastMemory, least(goLimit, memlimit.FromCgroup, memlimit.FromSystem)/2)
	}
	if goLimit == math.MaxInt64 {
		debug.SetMemoryLimit(2 * limit)
	}
	return budget.New(limit)
}

// least returns the least of Go's limit and nine tenths of the others.
func least(goLimit int64, others ...memlimit.Provider) int64 {
	usable := goLimit
	for _, other := range others {
		if bytes, err := other(); err == nil && bytes < mostMemory {
			usable = min(usable, int64(bytes)/10*9) //nolint:gosec // below mostMemory
		}
	}
	if usable == math.MaxInt64 {
		return otherMemory
	}
	return usable
}

// memoryMetrics returns the metrics of a budget. docs/operations.md lists them.
func memoryMetrics(b *budget.Budget) []prometheus.Collector {
	gauge := func(name, help string, value func() int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
	}
	return []prometheus.Collector{
		gauge("doit_memory_used_bytes", "Bytes that count for --max-memory now: queues of slow sockets, full send buffers, incomplete messages and bodies, answers under way, events that wait for delivery, registrations that wait.", b.Used),
		gauge("doit_memory_limit_bytes", "The bound of doit_memory_used_bytes: --max-memory.", b.Limit),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "doit_memory_refused_total",
			Help: "Requests, messages and events that were refused because --max-memory was reached.",
		}, func() float64 { return float64(b.Refused()) }),
	}
}
