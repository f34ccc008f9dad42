package relay

// A state says how far a stream is between its opening and its end:
//
//	opening ──sent──▶ open ───local end───▶ localEnd
//	                   │                       │
//	               peer's end              peer's end
//	                   ▼                       ▼
//	               remoteEnd ──local end──▶ bothEnd
//
// From each of these five, [stream.Close] leads to closed, and a fault of
// either node or of NATS to broken. Both are final. A stream that another node
// opened begins as open.
type state byte

const (
	stateOpening   state = iota // the message that opens the stream waits to be sent
	stateOpen                   // both nodes may write
	stateLocalEnd               // this node has ended its writing, and reads on until the peer's end
	stateRemoteEnd              // the peer has ended: what came can be read, nothing can be written
	stateBothEnd                // both have ended: what came can be read
	stateClosed                 // the user is done; what was written is still sent
	stateBroken                 // neither direction is of use any more
)

// An event may change the state of a stream.
type event byte

const (
	eventOpenSent   event = iota // NATS has taken the message that opens the stream
	eventLocalEnds               // this node says that it writes no more
	eventRemoteEnds              // the peer says that it writes no more
	eventCloses                  // the user closes the stream
	eventBreaks                  // a message is missing, or the peer, NATS or this node gives the stream up
)

// after returns the state that follows the event. An event that a state does
// not know changes nothing.
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

// final reports whether the stream is no more.
func (st state) final() bool { return st == stateClosed || st == stateBroken }

// writable reports whether this node may write.
func (st state) writable() bool { return st == stateOpening || st == stateOpen }

// remoteEnded reports whether the peer has ended its writing.
func (st state) remoteEnded() bool { return st == stateRemoteEnd || st == stateBothEnd }

// localEnded reports whether this node has ended its writing.
func (st state) localEnded() bool { return st == stateLocalEnd || st == stateBothEnd }
