//go:build soak

package hub

import (
	"testing"
	"time"
)

// The promise in full: 30 seconds without a bus. To be run without the race
// detector, which makes server and clients several times slower.
func TestAllSubscriptionsComeBackAfterALongTime(t *testing.T) {
	const away, bound = 30 * time.Second, 5 * time.Second
	took := comeBack(t, 4, 100000, func() { time.Sleep(away) }) // it is not a condition: the time itself is the test
	t.Logf("100,000 subscriptions of 4 gateways are back after %v", took)
	if took > bound {
		t.Errorf("promised are %v", bound)
	}
}
