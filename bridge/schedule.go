package bridge

import "time"

const (
	backoffFirst = 30 * time.Second
	backoffCap   = 30 * time.Minute // or PollEvery where that is longer

	continueAfter  = 2 * time.Second // between the sessions of one poll
	maxIdleRetries = 2               // sessions in a row that ended early without storing anything

	retryMessageFirst = 15 * time.Minute
	retryMessageCap   = 24 * time.Hour
	retryTooLarge     = 7 * 24 * time.Hour // each time costs max_message_size of transfer
)

// nextPoll returns how long to wait after a poll. failures counts the failed
// polls in a row, floor is the server's LOGIN-DELAY, u is a random number in
// [0,1).
func nextPoll(every, floor time.Duration, failures int, u float64) time.Duration {
	var d time.Duration
	if failures == 0 {
		d = jitter(every, 0.1, u)
	} else {
		d = jitter(backoff(backoffFirst, max(backoffCap, every), failures), 0.2, u)
	}
	if d < floor {
		// Never below the floor; above it by up to a tenth, so that accounts at
		// one provider do not poll at the same moment.
		d = floor + time.Duration(float64(floor)*0.1*u)
	}
	return d
}

// backoff doubles from first to limit; the n-th attempt, from 1.
func backoff(first, limit time.Duration, n int) time.Duration {
	d := first
	for ; n > 1 && d < limit; n-- {
		d *= 2
	}
	return min(d, limit)
}

// jitter spreads d evenly over ±part of itself.
func jitter(d time.Duration, part, u float64) time.Duration {
	return d + time.Duration(float64(d)*part*(2*u-1))
}
