package plan

import (
	"testing"
	"time"

	"github.com/popbridge/popbridge/bridge/smtp"
)

func TestFree(t *testing.T) {
	var p Pace
	minute := Limits{PerMinute: 2}
	free := func(l Limits, at, want time.Duration, daily bool) {
		t.Helper()
		got, d := p.Free(l, now.Add(at))
		if got.Sub(now) != want || d != daily {
			t.Errorf("at %v: free at %v, of a day %v", at, got.Sub(now), d)
		}
	}
	free(minute, 0, 0, false)
	p.Began(now)
	free(minute, time.Second, time.Second, false)
	p.Began(now.Add(10 * time.Second))
	free(minute, 20*time.Second, time.Minute, false)
	free(Limits{PerMinute: 1}, 20*time.Second, 70*time.Second, false) // fewer than before
	free(minute, time.Minute, time.Minute, false)
	free(minute, -time.Hour, -time.Hour, false) // the clock was set back

	day := Limits{PerMinute: 30, PerDay: 3, RecipientsPerDay: 10}
	p = Pace{}
	p.Sent(now, 1)
	p.Sent(now.Add(30*time.Minute), 1)
	free(day, time.Hour, time.Hour, false)
	p.Sent(now.Add(2*time.Hour), 1)
	free(day, 3*time.Hour, 25*time.Hour, true) // now is the start of an hour
	free(day, 25*time.Hour-1, 25*time.Hour, true)
	free(day, 25*time.Hour, 25*time.Hour, false)
	p.Sent(now.Add(25*time.Hour), 9) // 10 recipients with that of two hours
	free(day, 25*time.Hour, 27*time.Hour, true)
	free(Limits{PerMinute: 30}, 25*time.Hour, 25*time.Hour, false)
}

func TestLearns(t *testing.T) {
	var k Learned
	base := Limits{PerMinute: 30}
	k.Learn(Decision{}, base, now)
	if k != (Learned{}) {
		t.Errorf("%+v of nothing", k)
	}
	k.Learn(Decision{TooFast: true}, base, now)
	k.Learn(Decision{TooFast: true}, base, now)
	k.Learn(Decision{Took: 20}, base, now)
	if got := base.With(k, now); got != (Limits{PerMinute: 7, Recipients: 20}) {
		t.Errorf("%+v", got)
	}
	for range 9 {
		k.Learn(Decision{TooFast: true, Took: 50}, base, now)
	}
	if got := base.With(k, now); got != (Limits{PerMinute: 1, Recipients: 20}) {
		t.Errorf("%+v", got)
	}
	for _, at := range []time.Time{now.Add(learnedFor), now.Add(-time.Hour)} {
		if got := base.With(k, at); got != base {
			t.Errorf("at %v: %+v", at, got)
		}
	}
	if got := (Limits{Recipients: 500}).With(Learned{Recipients: 900, At: now}, now); got.Recipients != 500 {
		t.Errorf("learned more than there is: %+v", got)
	}
}

// What large providers say when they have enough, and what others say that is no limit of the
// account.
func TestLimitsOfProviders(t *testing.T) {
	for text, want := range map[string]struct {
		account Trouble
		tooFast bool
		wait    time.Duration
	}{
		"432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded":                            {Busy, true, 0},
		"450 4.7.1 Error: too many messages, try again in 5 minutes":                               {Busy, true, 5 * time.Minute},
		"421 4.7.0 Message rate exceeded, retry after 90 seconds":                                  {Busy, true, 90 * time.Second},
		"421 4.7.28 sending rate throttled":                                                        {Busy, true, 0},
		"451 4.7.651 limit exceeded":                                                               {Busy, true, 0},
		"454 4.7.0 temporary authentication failure":                                               {Busy, false, 0},
		"450 4.7.1 greylisted, try again in 300 seconds":                                           {None, false, 0},
		"450 4.2.1 mailbox busy":                                                                   {None, false, 0},
		"421 4.4.2 timeout":                                                                        {None, false, 0},
		"550 5.4.5 Daily user sending limit exceeded":                                              {Quota, false, 0},
		"550 5.4.5 Daily limit exceeded. Please wait 2 hours":                                      {Quota, false, 2 * time.Hour},
		"554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; try after 99 h": {Quota, false, 24 * time.Hour},
		"550 5.7.1 rate your mail elsewhere":                                                       {None, false, 0},
	} {
		m := waiting("a")
		try := Try{Message: m, To: []string{"a"}, Now: now, Outcome: smtp.Outcome{Phase: smtp.Answered, Final: reply(t, text), Recipients: []smtp.Reply{reply(t, ok)}}}
		d := Decide(try)
		if d.Account != want.account || d.TooFast != want.tooFast || d.Wait != want.wait {
			t.Errorf("%s: trouble %d, too fast %v, wait %v", text, d.Account, d.TooFast, d.Wait)
		}
		if want.account != None && (d.Attempt.Counts || len(d.Refused) > 0) {
			t.Errorf("%s: the message pays: %+v", text, d)
		}
	}
}

func TestSaid(t *testing.T) {
	for _, tt := range []struct {
		trouble    Trouble
		said, want time.Duration
	}{
		{Quota, 0, 24 * time.Hour}, {Quota, time.Hour, time.Hour}, {Busy, 0, time.Minute}, {Busy, time.Second, time.Minute}, {Busy, time.Hour, time.Hour},
		{Login, time.Second, time.Minute}, {Login, time.Hour, time.Hour},
	} {
		var p Pause
		p.Met(tt.trouble, now, 0.5)
		p.Said(tt.said)
		if got := p.Until.Sub(now); got != tt.want {
			t.Errorf("trouble %d, said %v: rests %v", tt.trouble, tt.said, got)
		}
	}
}

// Of a message with more recipients than the server takes, each gets it once.
func TestTooManyRecipientsAreLearned(t *testing.T) {
	m := waiting("a", "b", "c")
	if to := Recipients(m, 2); len(to) != 2 {
		t.Errorf("offered to %v", to)
	}
	for text, want := range map[string]int{"452 4.5.3 too many recipients": 2, "452 4.3.1 no storage": 0} {
		try := Try{Message: m, To: Recipients(m, 0), Now: now, Outcome: smtp.Outcome{Phase: smtp.Answered, Final: reply(t, "250 2.0.0 ok"),
			Recipients: []smtp.Reply{reply(t, ok), reply(t, ok), reply(t, text)}}}
		if d := Decide(try); d.Took != want || !d.Attempt.Next.Equal(now) {
			t.Errorf("%s: %d taken, next %v", text, d.Took, d.Attempt.Next)
		}
	}
}
