//go:build linux

package main

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// times are durations that were measured.
type times []time.Duration

// quantile is the least of the times that a share q of them does not exceed.
func (t times) quantile(q float64) time.Duration { return quantile(t, q) }

// median is the middle of the figures, the lower one of two.
func median(figures []float64) float64 { return quantile(figures, 0.5) }

func quantile[T cmp.Ordered](all []T, q float64) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}
