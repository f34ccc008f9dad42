package relay

import "testing"

// The states follow each other as the picture in state.go shows. An event that is repeated, or not
// possible in a state, changes nothing. Final states stay.
func TestStates(t *testing.T) {
	const (
		opening   = stateOpening
		open      = stateOpen
		localEnd  = stateLocalEnd
		remoteEnd = stateRemoteEnd
		bothEnd   = stateBothEnd
		closed    = stateClosed
		broken    = stateBroken
	)
	for st, want := range map[state][5]state{
		//        openSent, localEnds, remoteEnds, closes, breaks
		opening:   {open, localEnd, remoteEnd, closed, broken},
		open:      {open, localEnd, remoteEnd, closed, broken},
		localEnd:  {localEnd, localEnd, bothEnd, closed, broken},
		remoteEnd: {remoteEnd, bothEnd, remoteEnd, closed, broken},
		bothEnd:   {bothEnd, bothEnd, bothEnd, closed, broken},
		closed:    {closed, closed, closed, closed, closed},
		broken:    {broken, broken, broken, broken, broken},
	} {
		for i, e := range []event{eventOpenSent, eventLocalEnds, eventRemoteEnds, eventCloses, eventBreaks} {
			if got := st.after(e); got != want[i] {
				t.Errorf("state %d after event %d is %d, want %d", st, e, got, want[i])
			}
		}
	}
}
