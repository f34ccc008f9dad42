package budget

import (
	"errors"
	"io"
	"sync/atomic"
)

// ErrFull reports that a budget had no room.
var ErrFull = errors.New("the memory for requests is full: send again in a moment, or raise --max-memory")

// firstRead is the size of the first buffer of ReadAll, in bytes.
const firstRead = 512

// ReadAll reads r to its end and sets a to the size of the buffer, times copies: the caller makes that many copies of
// what it reads. The buffer grows as bytes arrive, so a reader that announces much and sends nothing costs nothing. It
// returns [ErrFull] if the budget has no room, or if [Budget.Relieve] has cut it. cut makes a Read that waits return, and
// all later ones fail; it is not called after ReadAll has returned. The caller closes a when it needs the bytes no more.
func ReadAll(r io.Reader, a *Account, copies int, cut func()) (body []byte, err error) {
	if !a.Set(firstRead * copies) {
		return nil, ErrFull
	}
	var gone atomic.Bool
	var listing *Listing // once it holds much
	defer func() { listing.End() }()
	body = make([]byte, 0, firstRead)
	for {
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case errors.Is(err, io.EOF):
			return body, nil
		case gone.Load():
			return nil, ErrFull
		case err != nil:
			return body, err
		case len(body) < cap(body):
			continue
		}
		grown := 2 * cap(body)
		if !a.Set((grown + cap(body)) * copies) { // for a moment both exist
			return nil, ErrFull
		}
		body = append(make([]byte, 0, grown), body...)
		a.Set(grown * copies)
		if held := grown * copies; held >= LeastCut {
			listing.End()
			listing = a.Budget.List(held, func() { gone.Store(true); cut() })
		}
	}
}
