package relay

// A state says how far a stream is between its opening and its end:
//
//	opening ──sent──▶ open ───local end───▶ localEnd
//	                   │                       │
//	               peer's end              peer's end
//	                   ▼                       ▼
//	               remoteEnd ──local end──▶ bothEnd
//
// From each of these five states, [stream.Close] leads to closed, and an error of this node, the
// peer or NATS leads to broken. Both are final. A stream that the peer opened begins as open.
type state byte

const (
	stateOpening   state = iota // kindOpen is not published yet
	stateOpen                   // both nodes may write
	stateLocalEnd               // this node writes no more, and reads until the peer's end
	stateRemoteEnd              // the peer writes no more: received bytes can be read, and nothing can be written
	stateBothEnd                // neither writes any more: received bytes can be read
	stateClosed                 // Close was called: queued messages are still sent
	stateBroken                 // nothing can be read or written
)

// An event may change the state of a stream.
type event byte

const (
	eventOpenSent   event = iota // kindOpen was published
	eventLocalEnds               // this node ends its writing
	eventRemoteEnds              // the peer has ended its writing
	eventCloses                  // Close was called
	eventBreaks                  // the stream breaks: endpoint.err has the reason
)

// after returns the state that follows the event. An event that is not possible in a state does not
// change it.
func (st state) after(e event) state {
	switch {
	case st.final():
		return st
	case e == eventCloses:
		return stateClosed
	case e == eventBreaks:
		return stateBroken
	case e == eventOpenSent && st == stateOpening:
		return stateOpen
	case e == eventLocalEnds && st.writable():
		return stateLocalEnd
	case e == eventLocalEnds && st == stateRemoteEnd:
		return stateBothEnd
	case e == eventRemoteEnds && st.writable():
		return stateRemoteEnd
	case e == eventRemoteEnds && st == stateLocalEnd:
		return stateBothEnd
	}
	return st
}

// final reports whether the stream has ended: it is closed or broken.
func (st state) final() bool { return st == stateClosed || st == stateBroken }

// writable reports whether this node may write.
func (st state) writable() bool { return st == stateOpening || st == stateOpen }

// remoteEnded reports whether the peer has ended its writing.
func (st state) remoteEnded() bool { return st == stateRemoteEnd || st == stateBothEnd }

// localEnded reports whether this node has ended its writing.
func (st state) localEnded() bool { return st == stateLocalEnd || st == stateBothEnd }
