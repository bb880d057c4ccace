package bridge

import (
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/mailstore"
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

func TestKeep(t *testing.T) {
	for _, tt := range []struct {
		keep   Keep
		text   string
		age    time.Duration
		wanted bool
	}{
		{Keep{}, "forever", 10000 * day, false},
		{KeepForever(), "forever", 10000 * day, false},
		{KeepNever(), "never", 0, true},
		{KeepFor(30 * day), "30d", 30 * day, true},
		{KeepFor(30 * day), "30d", 30*day - 1, false},
		{KeepFor(time.Hour), "1h0m0s", -time.Hour, false},
		{KeepNewest(500), "newest 500", 10000 * day, false},
		{KeepBelow(80, 1000), "below 80%", 10000 * day, false},
	} {
		if got := tt.keep.String(); got != tt.text {
			t.Errorf("got %q, want %q", got, tt.text)
		}
		if got := tt.keep.reason(mailstore.LedgerEntry{StoredAt: now.Add(-tt.age)}, 0, 0, now) != ""; got != tt.wanted {
			t.Errorf("%v at the age of %v: due %v", tt.keep, tt.age, got)
		}
	}
}
