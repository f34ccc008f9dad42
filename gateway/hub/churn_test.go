package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ramainen/doit-socket/internal/natstest"
)

// A strict is a Conn that checks that each event is for a user that it is registered as at that
// moment, and in order. Its events are ["e", subject, number].
type strict struct {
	mu    sync.Mutex
	may   map[string]bool
	last  map[string]int
	fault atomic.Pointer[string]
}

func (c *strict) ID() string  { return "strict" }
func (c *strict) Flush() bool { return true }
func (c *strict) Close()      {}

func (c *strict) Send(m *Message) bool {
	var e []any
	if err := json.Unmarshal(m.Payload, &e); err != nil || len(e) != 3 {
		c.fail("payload %q", m.Payload)
		return false
	}
	subject, number := e[1].(string), int(e[2].(float64))
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.may[subject] {
		c.fail("heard %s, which it does not hold", subject)
	}
	if number <= c.last[subject] {
		c.fail("heard number %d of %s after %d", number, subject, c.last[subject])
	}
	c.last[subject] = number
	return true
}

func (c *strict) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	c.fault.Store(&text)
}

func (c *strict) set(subject string, may bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.may[subject] = may
}

// Sockets of several goroutines register and unregister during a stream of emits. No socket gets an event before it
// registered, after Unregister or Detach has returned, twice, or out of order. The receipt of an emit to a user whose
// sockets do not change is right. At the end the server has no subscription left.
func TestChurn(t *testing.T) {
	const workers, rounds, shared = 8, 60, 5
	b := newBench(t)
	var ids []string
	for i := range shared {
		ids = append(ids, subject(t, fmt.Sprint("shared ", i)))
	}

	stop := make(chan struct{})
	var emitters sync.WaitGroup
	for _, to := range ids {
		bus := natstest.Connect(t, b.server)
		emitters.Go(func() {
			for n := 1; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				payload := fmt.Appendf(nil, `["e",%q,%d]`, to, n)
				if err := errors.Join(bus.Publish(to, payload), bus.Flush()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}

	register := func(s *Socket, subjects ...string) error {
		done := make(chan error, 1)
		b.hub.Register(s, subjects, func(err error) { done <- err })
		return <-done
	}
	var churn sync.WaitGroup
	for w := range workers {
		bus := natstest.Connect(t, b.server)
		random := rand.New(rand.NewPCG(1, uint64(w)))
		churn.Go(func() {
			for round := range rounds {
				c := &strict{may: map[string]bool{}, last: map[string]int{}}
				s := attach(c)
				own := fmt.Sprintf("user.own-%d", w)
				some := []string{own, ids[random.IntN(shared)], ids[random.IntN(shared)]}
				for _, to := range some {
					c.set(to, true)
				}
				if err := register(s, some...); err != nil {
					t.Error(err)
					return
				}
				answer, err := bus.Request(own, fmt.Appendf(nil, `["e",%q,%d]`, own, round+1), natstest.Patience)
				if err != nil || string(answer.Data) != "1 gw" {
					t.Errorf("own user: %v, %v", answer, err)
					return
				}
				if random.IntN(2) == 0 {
					b.hub.Unregister(s, some[1:])
					for _, to := range some[1:] {
						c.set(to, false)
					}
				}
				b.hub.Detach(s)
				for _, to := range some {
					c.set(to, false)
				}
				if fault := c.fault.Load(); fault != nil {
					t.Error(*fault)
					return
				}
			}
		})
	}
	churn.Wait()
	close(stop)
	emitters.Wait()
	// Each worker's connection is subscribed to its answers.
	if left := b.users() - workers; left != 0 || b.hub.Users() != 0 {
		t.Errorf("%d subscriptions and %d users are left", left, b.hub.Users())
	}
}
