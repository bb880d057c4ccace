package plan

import "time"

// The schedule of a message that the server takes later, see Retry, and when it
// is given up: RFC 5321 section 4.5.4.1 wants four to five days. A computer that
// is on for an hour a day makes few attempts in that time, hence giveUpTries.
const (
	giveUpAfter = 5 * 24 * time.Hour
	giveUpTries = 8

	noticeAfter = time.Hour // since the first attempt: a person is told then
)

var retries = [...]time.Duration{1, 2, 5, 15, 30} // minutes

// Retry is the time from the n-th attempt, counted from 1, to the next one. u is a
// random number in [0,1).
func Retry(n int, u float64) time.Duration {
	return jitter(retries[min(max(n, 1), len(retries))-1]*time.Minute, 0.2, u)
}

// jitter spreads d evenly over ±part of itself.
func jitter(d time.Duration, part, u float64) time.Duration {
	return d + time.Duration(float64(d)*part*(2*u-1))
}

// doubled doubles first for each n beyond 1, up to limit.
func doubled(first, limit time.Duration, n int) time.Duration {
	d := first
	for ; n > 1 && d < limit; n-- {
		d *= 2
	}
	return min(d, limit)
}
