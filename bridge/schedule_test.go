package bridge

import (
	"testing"
	"time"
)

func TestNextPoll(t *testing.T) {
	const m = time.Minute
	tests := []struct {
		name         string
		every, floor time.Duration
		failures     int
		u            float64
		want         time.Duration
	}{
		{"middle", 5 * m, 0, 0, 0.5, 5 * m},
		{"early", 5 * m, 0, 0, 0, 4*m + 30*time.Second},
		{"late", 5 * m, 0, 0, 1, 5*m + 30*time.Second},
		{"floor", 5 * m, 15 * m, 0, 0, 15 * m},
		{"floor is only exceeded", 5 * m, 15 * m, 0, 1, 16*m + 30*time.Second},
		{"floor below the interval", 20 * m, 15 * m, 0, 0.5, 20 * m},
		{"first failure", 5 * m, 0, 1, 0.5, 30 * time.Second},
		{"second failure", 5 * m, 0, 2, 0.5, m},
		{"sixth failure", 5 * m, 0, 6, 0.5, 16 * m},
		{"many failures", 5 * m, 0, 1000, 0.5, 30 * m},
		{"many failures of a rare poll", 120 * m, 0, 1000, 0.5, 120 * m},
		{"failure and floor", 5 * m, 15 * m, 1, 0, 15 * m},
		{"failures are spread", 5 * m, 0, 2, 0, 48 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := nextPoll(tt.every, tt.floor, tt.failures, tt.u); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
