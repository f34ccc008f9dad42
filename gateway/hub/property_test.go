package hub

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The following holds after any sequence of Attach, Register, Unregister, Detach and emits. The server has exactly one
// subscription for each user with sockets, and no other. An emit reaches exactly the sockets of its user, once each and
// in order. Its receipt is their number.
func TestRegistry(t *testing.T) {
	b := newBench(t)
	ids := []string{"1", "2", "*", ">", "a.*", "вася", "a b"}
	subjects := make([]string, len(ids))
	for i, id := range ids {
		subjects[i] = subject(t, id)
	}
	type page struct {
		conn   *recorder
		socket *Socket
		holds  map[string]bool
		due    []string // what it must hear
	}
	rapid.Check(t, func(t *rapid.T) {
		var pages []*page
		defer func() {
			for _, p := range pages {
				b.hub.Detach(p.socket)
			}
		}()
		some := rapid.SliceOfNDistinct(rapid.SampledFrom(subjects), 1, 4, rapid.ID[string])
		attach := func() {
			c := &recorder{id: fmt.Sprint(len(pages))}
			pages = append(pages, &page{conn: c, socket: attach(c), holds: map[string]bool{}})
		}
		one := func() *page {
			if len(pages) == 0 {
				attach()
			}
			return pages[rapid.IntRange(0, len(pages)-1).Draw(t, "page")]
		}
		emits := 0
		t.Repeat(map[string]func(*rapid.T){
			"attach": func(*rapid.T) { attach() },
			"register": func(t *rapid.T) {
				p, wanted := one(), some.Draw(t, "subjects")
				if err := b.register(p.socket, wanted...); err != nil {
					t.Fatal(err)
				}
				for _, s := range wanted {
					p.holds[s] = true
				}
			},
			"unregister": func(t *rapid.T) {
				p, gone := one(), some.Draw(t, "subjects")
				b.hub.Unregister(p.socket, gone)
				for _, s := range gone {
					delete(p.holds, s)
				}
			},
			"detach": func(t *rapid.T) {
				p := one()
				b.hub.Detach(p.socket)
				pages = slices.DeleteFunc(pages, func(q *page) bool { return q == p })
				if err := b.register(p.socket, subjects[0]); !errors.Is(err, ErrGone) {
					t.Fatalf("a detached socket registered: %v", err)
				}
			},
			"emit": func(t *rapid.T) {
				to := rapid.SampledFrom(subjects).Draw(t, "to")
				payload := fmt.Sprintf(`["e",%d]`, emits)
				emits++
				want := 0
				for _, p := range pages {
					if p.holds[to] {
						want++
						p.due = append(p.due, payload)
					}
				}
				receipt, anyone := b.emit(event(to, payload))
				if receipt.Sockets != want || anyone != (want > 0) {
					t.Fatalf("receipt %+v, %v; want %d", receipt, anyone, want)
				}
			},
			"": func(t *rapid.T) {
				users := map[string]bool{}
				for _, p := range pages {
					for s := range p.holds {
						users[s] = true
					}
					if heard := p.conn.take(); !slices.Equal(heard, p.due) {
						t.Fatalf("heard %v, want %v", heard, p.due)
					}
					p.due = nil
				}
				if b.users() != len(users) || b.hub.Users() != len(users) {
					t.Fatalf("%d subscriptions, %d in the hub, for %d users", b.users(), b.hub.Users(), len(users))
				}
			},
		})
	})
}
