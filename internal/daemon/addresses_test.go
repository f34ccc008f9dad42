package daemon

import (
	"errors"
	"strings"
	"testing"
)

// says checks that an error is one of usage and has all that its reader needs.
func says(t *testing.T, err error, all ...string) {
	t.Helper()
	if !errors.Is(err, ErrUsage) {
		t.Errorf("%v, want bad usage", err)
		return
	}
	told(t, err, all...)
}

// told checks that an error has all that its reader needs.
func told(t *testing.T, err error, all ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", all)
		return
	}
	for _, part := range all {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
}

// Each listener is refused on an address that other machines reach, unless its
// own flag allows it. The refusal says what they could do.
func TestPublicAddressesAreRefused(t *testing.T) {
	for address, public := range map[string]bool{
		"127.0.0.1:7": false, "localhost:7": false, "[::1]:7": false, "127.9.9.9:7": false,
		":7": true, "0.0.0.0:7": true, "[::]:7": true, "192.0.2.1:7": true, "10.0.0.1:7": true, "example.org:7": true,
	} {
		for _, l := range []struct {
			flag, open, other string
			refusal           []string
		}{
			{"--listen", "--open", "--admin-open", []string{"register it", "--open", "DOIT_OPEN=1"}},
			{"--admin-listen", "--admin-open", "--open", []string{"no password", "--admin-open", "DOIT_ADMIN_OPEN=1", "''"}},
		} {
			_, err := parse(t, l.flag, address, l.other)
			if public {
				says(t, err, append(l.refusal, l.flag+" is", address)...)
			} else if err != nil {
				t.Errorf("%s %s: %v", l.flag, address, err)
			}
			if _, err := parse(t, l.flag, address, l.open); err != nil {
				t.Errorf("%s %s %s: %v", l.flag, address, l.open, err)
			}
		}
	}
	t.Setenv("PORT", "8080")
	_, err := parse(t)
	says(t, err, `":8080"`, "variable PORT", "DOIT_OPEN=1")
	t.Setenv("DOIT_OPEN", "1")
	if cfg, err := parse(t); err != nil || cfg.Listen != ":8080" {
		t.Errorf("PORT and DOIT_OPEN: %+v, %v", cfg, err)
	}
}

func TestBadAddresses(t *testing.T) {
	for _, address := range []string{"1337", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:web!", "::1:1337", "http://127.0.0.1:1337"} {
		for _, flag := range []string{"--listen", "--admin-listen"} {
			_, err := parse(t, flag, address)
			says(t, err, flag, address, "127.0.0.1:1337", "0.0.0.0:1337")
		}
	}
	_, err := parse(t, "--listen", "")
	says(t, err, "--listen", "HOST:PORT")
}

// Two listeners of one program on one port are refused before the second one
// could say that another program listens there.
func TestListenersAreApart(t *testing.T) {
	for _, c := range []struct {
		listen, admin string
		same          bool
	}{
		{"127.0.0.1:1336", "127.0.0.1:1336", true}, {":1336", "127.0.0.1:1336", true}, {"127.0.0.1:1336", "[::]:1336", true}, {"LocalHost:1336", "localhost:1336", true},
		{"127.0.0.1:1336", "127.0.0.2:1336", false}, {"127.0.0.1:1336", "127.0.0.1:1337", false}, {"127.0.0.1:0", "127.0.0.1:0", false}, {":1336", "", false},
	} {
		_, err := parse(t, "--open", "--admin-open", "--listen", c.listen, "--admin-listen", c.admin)
		if c.same {
			says(t, err, "--listen", "--admin-listen", "same port")
		} else if err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
