package daemon

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

// Wait distinguishes a signal from a failure.
func TestWait(t *testing.T) {
	p := newProcess()
	ctx, fail := context.WithCancelCause(t.Context())
	fail(io.ErrUnexpectedEOF)
	fail(nil)
	if err := p.Wait(ctx); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a failure: %v", err)
	}
	signalled, stop := context.WithCancel(t.Context())
	stop()
	ctx, fail = context.WithCancelCause(signalled)
	defer fail(nil)
	fail(io.ErrUnexpectedEOF)
	if err := p.Wait(ctx); err != nil {
		t.Errorf("a signal: %v", err)
	}
}

// The log has the address of the private listener as it is, or that there is none.
func TestPrivateListenerIsLogged(t *testing.T) {
	for address, want := range map[string]string{"127.0.0.1:0": "url=http://127.0.0.1:", ":0": "url=http://0.0.0.0:", "": "no private listener"} {
		var log lockedBuffer
		p := NewProcess(Config{AdminListen: address}, &log)
		stop, err := p.ServeAdmin(func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		stop()
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q: logged %q", address, log.String())
		}
	}
}
