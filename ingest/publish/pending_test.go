package publish

import (
	"errors"
	"slices"
	"testing"
)

// The outcomes of an emit to two receivers after a sequence of answers, each for one of the two.
func TestPendingEmit(t *testing.T) {
	type step struct {
		receiver int
		answer   answer
	}
	sockets := func(i, n int) step { return step{i, answer{sockets: n}} }
	nobody := func(i int) step { return step{i, answer{noResponders: true}} }
	unstable := func(i int) step { return step{i, answer{noResponders: true, unstable: true}} }
	for name, c := range map[string]struct {
		steps  []step
		first  bool // whether the emit need not wait longer under FirstReceipt
		all    bool // the same under AllReceivers
		timely []Outcome
		late   []Outcome // the outcomes after the bound
		err    error     // the error of AllReceivers after the bound
	}{
		"nothing":          {nil, false, false, []Outcome{{}, {}}, []Outcome{{}, {}}, ErrUnconfirmed},
		"one":              {[]step{sockets(0, 2)}, true, false, []Outcome{{Reached, 2}, {}}, []Outcome{{Reached, 2}, {}}, ErrUnconfirmed},
		"both":             {[]step{sockets(0, 2), sockets(1, 1)}, true, true, []Outcome{{Reached, 2}, {Reached, 1}}, []Outcome{{Reached, 2}, {Reached, 1}}, nil},
		"one by two":       {[]step{sockets(0, 2), sockets(0, 3)}, true, false, []Outcome{{Reached, 5}, {}}, []Outcome{{Reached, 5}, {}}, ErrUnconfirmed},
		"a zero":           {[]step{sockets(0, 0), nobody(1)}, false, false, []Outcome{{}, {State: Nobody}}, []Outcome{{State: Nobody}, {State: Nobody}}, nil},
		"two zeros of one": {[]step{sockets(0, 0), sockets(0, 0)}, false, false, []Outcome{{}, {}}, []Outcome{{State: Nobody}, {}}, ErrUnconfirmed},
		"nobody":           {[]step{nobody(0), nobody(1)}, false, true, []Outcome{{State: Nobody}, {State: Nobody}}, []Outcome{{State: Nobody}, {State: Nobody}}, nil},
		"nobody twice":     {[]step{nobody(0), nobody(0)}, false, false, []Outcome{{State: Nobody}, {}}, []Outcome{{State: Nobody}, {}}, ErrUnconfirmed},
		"behind a zero":    {[]step{sockets(0, 0), sockets(0, 1), nobody(0), nobody(1)}, true, true, []Outcome{{Reached, 1}, {State: Nobody}}, []Outcome{{Reached, 1}, {State: Nobody}}, nil},
		"behind nobody":    {[]step{nobody(0), sockets(0, 1)}, true, false, []Outcome{{Reached, 1}, {}}, []Outcome{{Reached, 1}, {}}, ErrUnconfirmed},
		"unstable":         {[]step{unstable(0), nobody(1)}, false, true, []Outcome{{}, {State: Nobody}}, []Outcome{{}, {State: Nobody}}, ErrUnstable},
		"unstable, silent": {[]step{unstable(0)}, false, false, []Outcome{{}, {}}, []Outcome{{}, {}}, ErrUnconfirmed},
		"unstable, then":   {[]step{unstable(0), sockets(0, 1), nobody(1)}, true, true, []Outcome{{Reached, 1}, {State: Nobody}}, []Outcome{{Reached, 1}, {State: Nobody}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, policy := range []Policy{FirstReceipt, AllReceivers} {
				p := newPendingEmits()
				number, e := p.begin([]string{"user.a", "user.b"}, policy, nil)
				for _, s := range c.steps {
					if got := p.answer(number, s.receiver, s.answer, false); got != accepted {
						t.Fatalf("%+v: %v", s, got)
					}
				}
				over := c.all || policy == FirstReceipt && c.first
				select {
				case <-e.done:
					if !over {
						t.Error("it waits no longer")
					}
				default:
					if over {
						t.Error("it waits on")
					}
				}
				if got, _ := e.outcomes(false); !slices.Equal(got, c.timely) {
					t.Errorf("before the bound %v, want %v", got, c.timely)
				}
				want := c.err
				if policy == FirstReceipt && c.first {
					want = nil
				}
				got, err := p.end(number, true, nil)
				if !slices.Equal(got, c.late) || !errors.Is(err, want) {
					t.Errorf("at the bound %v, %v; want %v, %v", got, err, c.late, want)
				}
			}
		})
	}
}
