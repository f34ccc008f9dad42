//go:build soak

package hub

import (
	"testing"
	"time"
)

func TestAllSubscriptionsComeBackAfterALongTime(t *testing.T) {
	const away, bound = 30 * time.Second, 5 * time.Second
	took := comeBack(t, 4, 100000, func() { time.Sleep(away) })
	t.Logf("100,000 subscriptions of 4 gateways are back after %v", took)
	if took > bound {
		t.Errorf("promised are %v", bound)
	}
}
