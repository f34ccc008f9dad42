package publish

import "maps"

// silent holds the receivers of pending emits that have no answer yet, by subject. A gateway's message that it has given
// up a user concerns one subject, and a thousand emits may wait for a thousand receivers each.
//
// The receivers of one subject are a list, linked by receiver.next and previous, so that adding and removing one takes
// one look into the map. pendingEmits.mu guards it.
type silent struct {
	first map[string]*receiver // the first of the list, by subject
	most  int                  // the largest size of first since it was made
}

// of returns the first receiver with this subject, nil if there is none.
func (s *silent) of(subject []byte) *receiver { return s.first[string(subject)] }

func (s *silent) add(r *receiver) {
	if s.first == nil {
		s.first = make(map[string]*receiver)
	}
	if r.next = s.first[r.subject]; r.next != nil {
		r.next.previous = r
	}
	s.first[r.subject] = r
	s.most = max(s.most, len(s.first))
}

// remove removes a receiver that was added. It clears the receiver's links, which would keep other emits in memory.
func (s *silent) remove(r *receiver) {
	if r.next != nil {
		r.next.previous = r.previous
	}
	switch {
	case r.previous != nil:
		r.previous.next = r.next
	case r.next != nil:
		s.first[r.subject] = r.next
	default:
		delete(s.first, r.subject)
		s.shrink()
	}
	r.previous, r.next = nil, nil
}

// shrink makes first anew if it has become far smaller than it was, because a map of Go never gives memory back. Copying
// a sixteenth of what was added takes no time beside the adding.
func (s *silent) shrink() {
	const small, part = 1024, 16
	if s.most < small || len(s.first) > s.most/part {
		return
	}
	s.most = len(s.first)
	smaller := make(map[string]*receiver, len(s.first))
	maps.Copy(smaller, s.first)
	s.first = smaller
}
