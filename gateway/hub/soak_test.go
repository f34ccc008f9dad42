//go:build soak

package hub

import (
	"testing"
	"time"
)

// The full promise: 30 seconds without NATS. Run it without the race detector, which slows server and clients down
// several times.
func TestAllSubscriptionsComeBackAfterALongTime(t *testing.T) {
	const away, bound = 30 * time.Second, 5 * time.Second
	took := comeBack(t, 4, 100000, func() { time.Sleep(away) }) // a sleep, because the time itself is tested
	t.Logf("100,000 subscriptions of 4 gateways are back after %v", took)
	if took > bound {
		t.Errorf("promised are %v", bound)
	}
}
