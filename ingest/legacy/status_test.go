package legacy

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ramainen/doit-socket/ingest/publish"
	"github.com/ramainen/doit-socket/internal/wire"
)

// Every error has its status, also if it is wrapped or wraps another one.
func TestStatus(t *testing.T) {
	for err, want := range map[error]int{
		nil:                    200,
		wire.ErrEvent:          200,
		wire.ErrID:             400,
		wire.ErrData:           400,
		errBody:                400,
		errTooManyParameters:   400,
		publish.ErrReceivers:   400,
		publish.ErrRepeats:     400,
		errMethod:              405,
		errTooLarge:            413,
		publish.ErrTooLarge:    413,
		publish.ErrEmitBytes:   413,
		publish.ErrBusy:        503,
		publish.ErrNotSent:     503,
		publish.ErrUnconfirmed: 503,
		publish.ErrUnstable:    503,
		errors.New("another"):  503,
	} {
		if got := status(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
		if err == nil {
			continue
		}
		if got := status(fmt.Errorf("%w: %w", err, errors.New("inside"))); got != want {
			t.Errorf("wrapped %v: %d, want %d", err, got, want)
		}
	}
}
