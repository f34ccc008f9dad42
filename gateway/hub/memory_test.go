package hub

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
)

// The cost of a registered user with one socket: heap in bytes, including nats.go and the server in this process, and
// the time until the registration is confirmed.
func BenchmarkRegister(b *testing.B) {
	bench := newBench(b)
	conn := sendFunc(func(*Message) bool { return true })
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	sockets := make([]*Socket, b.N)
	var registered sync.WaitGroup
	registered.Add(b.N)
	b.ResetTimer()
	for i := range sockets {
		sockets[i] = attach(conn)
		bench.hub.Register(sockets[i], []string{fmt.Sprint("user.", i)}, func(error) { registered.Done() })
	}
	registered.Wait()
	b.StopTimer()
	b.ReportMetric(float64(heap()-before)/float64(b.N), "B/user")
	runtime.KeepAlive(sockets)
}
