//go:build soak

package soak

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// Every hostile input that is known, from a stranger's connections and one
// after the other, beside a page that goes on hearing: the process lives, the
// page hears within 200 ms, and when the stranger has gone the heap is what it
// was, 10 MiB more at most.
func TestHostile(t *testing.T) {
	const (
		within    = 200 * time.Millisecond
		stall     = 50 * time.Millisecond // a machine that stalls this long says nothing about the server
		grows     = 10                    // MiB, when the stranger has gone
		meanwhile = 128                   // MiB in all, garbage included: a process that is held down to that is not drained
		least     = time.Second           // of each attack: what is over sooner is done again
	)
	// Heartbeats are short, so that what a stranger leaves behind is over soon.
	p := start(t, "embedded", "--ping-interval", "3s", "--ping-timeout", "3s")
	n := newNeighbour(t, p, p)
	t.Logf("%-32s %9s %9s %9s %8s %8s %8s  %s", "attack", "p99", "max", "machine", "MiB", "at most", "after", "closed by the server")
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) {
			for again := false; ; again = true {
				before, closed := heap(t, p, 2), read(t, p)
				s := &stranger{program: p, host: strings.TrimPrefix(p.URL, "http://"), t: t}
				var cancel context.CancelFunc
				s.ctx, cancel = context.WithTimeout(t.Context(), 2*patience)
				var most float64
				events, machine, fault := n.during(func() {
					most = peak(t, p, func() {
						for began := time.Now(); ; s.leave() {
							attack.run(s)
							if time.Since(began) > least || attack.stays {
								break
							}
						}
					})
				})
				cancel()
				if !attack.stays {
					s.leave()
				}
				over := await(2*patience, func() bool {
					return attack.stays || read(t, p)["doit_gateway_sockets"] == 1
				})
				var after float64
				await(patience, func() bool { // sessions without CONNECT are in no gauge: they go with their heartbeat
					after = heap(t, p, 2)
					return after-before <= 1
				})
				s.leave()
				t.Logf("%-32s %9v %9v %9v %8.1f %8.1f %8.1f  %s", attack.name, events.at(.99), events.at(1), machine.at(1), before, most, after, read(t, p).since(closed, "doit_gateway_closed_total"))
				if fault == nil && events.at(1) > within && machine.at(1) > stall && !again {
					t.Logf("the machine itself stalled for %v: once more", machine.at(1))
					continue
				}
				if fault != nil {
					t.Errorf("the neighbour: %v", fault)
				}
				if events.at(1) > within {
					t.Errorf("the neighbour heard after %v, the machine's own stall being %v", events.at(1), machine.at(1))
				}
				if most > max(meanwhile, attack.holds) {
					t.Errorf("the heap was %.1f MiB meanwhile", most)
				}
				if after-before > grows {
					t.Errorf("the heap grew from %.1f to %.1f MiB", before, after)
				}
				if !over {
					t.Errorf("%v sockets are left", read(t, p)["doit_gateway_sockets"]-1)
				}
				break
			}
		})
		select {
		case <-p.Ended():
			t.Fatalf("the process ended: %v\n%s", p.Err(), p.Log())
		default:
		}
	}
}

// A stranger attacks. What it opens is closed when it leaves.
type stranger struct {
	t       testing.TB
	program *siotest.Program
	host    string
	ctx     context.Context // bounds the attack

	mu    sync.Mutex
	conns []net.Conn // guarded by mu
}

func (s *stranger) keep(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, conn)
}

func (s *stranger) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.conns {
		conn.Close()
	}
	s.conns = nil
}

// times does something often, from a few connections at a time, while there is
// time. What fails is the server's good right.
func (s *stranger) times(n int, f func(i int) error) {
	const hands = 8
	var running sync.WaitGroup
	for hand := range hands {
		running.Go(func() {
			for i := hand; i < n && s.ctx.Err() == nil; i += hands {
				_ = f(i)
			}
		})
	}
	running.Wait()
}

// call connects and writes, and leaves the answer unread.
func (s *stranger) call(request ...[]byte) (net.Conn, error) {
	conn, err := dial(s.host)
	if err != nil {
		return nil, err
	}
	s.keep(conn)
	conn.SetDeadline(time.Now().Add(patience))
	for _, b := range request {
		if _, err := conn.Write(b); err != nil {
			return conn, err
		}
	}
	return conn, nil
}

// open opens a session that stays until the stranger leaves.
func (s *stranger) open(k siotest.Options, behind ...string) (*siotest.Page, error) {
	c, err := open(s.host, k, behind...)
	if err == nil {
		s.keep(c.Net)
	}
	return c, err
}

// join is open, with an id registered.
func (s *stranger) join(k siotest.Options, id string) (*siotest.Page, error) {
	c, err := join(s.host, k, id)
	if err == nil {
		s.keep(c.Net)
	}
	return c, err
}

// say opens a session, says the packets and hangs up when the server has
// answered something or is silent.
func (s *stranger) say(k siotest.Options, packets ...string) error {
	c, err := s.open(k)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, packet := range packets {
		if err := c.Send(packet); err != nil {
			return err
		}
	}
	if k.Polling {
		return nil
	}
	_, err = c.Next(time.Now().Add(20 * time.Millisecond))
	return err
}

// must fails the test for what the attack itself needs.
func (s *stranger) must(err error) {
	if err != nil {
		s.t.Errorf("the attack: %v", err)
	}
}

// flood writes the same bytes again and again for a while, or until the server hangs up.
func (s *stranger) flood(conn net.Conn, b []byte, while time.Duration) {
	end := time.Now().Add(while)
	for time.Now().Before(end) && s.ctx.Err() == nil {
		conn.SetWriteDeadline(end)
		if _, err := conn.Write(b); err != nil {
			return
		}
	}
}

// all runs an attack over every kind of client.
func all(f func(s *stranger, k siotest.Options)) func(*stranger) {
	return func(s *stranger) {
		for _, k := range []siotest.Options{socket4, socket3, polling4, polling3} {
			f(s, k)
		}
	}
}
