package hub

import "time"

const (
	// maxLingering bounds the subscriptions that linger. With more, the oldest are given up.
	maxLingering = 10_000
	// quietTime is how long a user that was given up because of a message is not subscribed again. The message was
	// answered with zero sockets. 50 ms later the ingest asks NATS whether anybody is subscribed, and the emit ends only
	// when nobody is.
	quietTime = 100 * time.Millisecond
)

// leaving holds the users without sockets that have a subscription, or had one a moment ago. A subscription may linger,
// so that a page that reloads finds it. A message for such a user is answered with zero sockets, and ends that at once:
// the ingest waits until nobody is subscribed. The registry's mu guards it.
type leaving struct {
	users  []timed // each user once; those that linger are in the order of until
	urgent []*user // a message came for them; they are given up first
	quiet  []timed // given up because of a message; in the order of until
}

// A stay is what the registry knows of a user that leaves.
type stay struct {
	until  time.Time // when lingering ends; zero if the user does not linger
	queued bool      // the user is in leaving.users
	ended  bool      // a message came while the user had no sockets
	silent bool      // the user is in leaving.quiet
}

// A timed is a user in a list, until a time.
type timed struct {
	user  *user
	until time.Time
}

// add adds a user without sockets, whose subscription stays until a time.
func (l *leaving) add(u *user, until time.Time) {
	u.stay.until = until
	if u.stay.ended {
		l.urgent = append(l.urgent, u)
	}
	if !u.stay.queued {
		u.stay.queued = true
		l.users = append(l.users, timed{u, until})
	}
}

// take removes and returns users that are to be given up, at most limit. Those in users are due if their time is over,
// or if they are more than keep.
func (l *leaving) take(now time.Time, keep, limit int) (due []*user) {
	for len(l.urgent) > 0 && len(due) < limit {
		if u := l.urgent[0]; u.stay.ended {
			due = append(due, u)
		}
		l.urgent = l.urgent[1:]
	}
	for len(l.users) > 0 && len(due) < limit {
		first, over := l.users[0], len(l.users) > keep
		if !over && now.Before(first.until) {
			break
		}
		u := first.user
		u.stay.queued = false
		if l.users = l.users[1:]; over || !now.Before(u.stay.until) {
			due = append(due, u)
		} else { // it has come and left again
			l.add(u, u.stay.until)
		}
	}
	if len(l.urgent) == 0 {
		l.urgent = nil // so that an empty list keeps no array
	}
	if len(l.users) == 0 {
		l.users = nil
	}
	return due
}

// hush keeps a user that was given up because of a message in quiet.
func (l *leaving) hush(u *user, now time.Time) {
	u.stay.ended, u.stay.silent = false, true
	l.quiet = append(l.quiet, timed{u, now.Add(quietTime)})
}

// wake removes and returns the users whose quiet time is over.
func (l *leaving) wake(now time.Time) (awake []*user) {
	for len(l.quiet) > 0 && !now.Before(l.quiet[0].until) {
		awake = append(awake, l.quiet[0].user)
		l.quiet[0].user.stay.silent = false
		l.quiet = l.quiet[1:]
	}
	if len(l.quiet) == 0 {
		l.quiet = nil
	}
	return awake
}

// next returns when take or wake have something to return, as if keep and limit were high; zero if never.
func (l *leaving) next(now time.Time) (at time.Time) {
	if len(l.urgent) > 0 {
		return now
	}
	for _, list := range [][]timed{l.users, l.quiet} {
		if len(list) > 0 && (at.IsZero() || list[0].until.Before(at)) {
			at = list[0].until
		}
	}
	return at
}
