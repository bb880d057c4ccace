package signin

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/oauth/oauthtest"
)

// One refusal may be an answer that was lost: only the second means that a person has to
// sign in, and even then it is tried again, rarely.
func TestOnlyARepeatedRefusalMeansSignIn(t *testing.T) {
	b := newBench(t)
	b.signIn(t)
	b.clock = b.clock.Add(time.Hour)
	no := oauthtest.Answer{Status: 400, Body: `{"error": "invalid_grant", "error_description": "gone"}`}
	refuse := func(n int) {
		b.provider.Change(func(v *oauthtest.Behaviour) {
			for range n {
				v.Answers = append(v.Answers, no)
			}
		})
	}
	refuse(1)
	b.wants(t, fault.Temporary, false, "tried once more")
	b.restart()
	b.clock = b.clock.Add(againAfter - time.Second)
	b.wants(t, fault.Temporary, false, "tried once more")
	b.refreshed(t, 1)
	b.clock = b.clock.Add(time.Second)
	b.valid(t) // it was one answer only
	if r := b.record(t); r.Refusals != 0 || r.Refusal != "" {
		t.Errorf("%+v", r)
	}

	b.clock = b.clock.Add(time.Hour)
	refuse(2)
	b.wants(t, fault.Temporary, false, "gone")
	b.clock = b.clock.Add(againAfter)
	b.wants(t, fault.Auth, true, "| sign in: popbridge account signin work")
	b.clock = b.clock.Add(rarelyAfter - time.Second)
	b.restart()
	b.wants(t, fault.Auth, true, "does not take the sign-in any more")
	b.refreshed(t, 4)
	b.clock = b.clock.Add(time.Second)
	b.valid(t) // the provider was wrong
	b.refreshed(t, 5)

	b.provider.Revoke(b.account.Username)
	b.clock = b.clock.Add(time.Hour)
	b.wants(t, fault.Temporary, false, "")
	b.clock = b.clock.Add(againAfter)
	b.wants(t, fault.Auth, true, "")
	b.signIn(t)
	b.valid(t)
}

// A server that has lost its newest tokens knows those before.
func TestTheFormerTokenIsKeptUntilTheNewOneWorked(t *testing.T) {
	b := newBench(t)
	b.provider.Change(func(v *oauthtest.Behaviour) { v.Rotate, v.KeepFormer = true, true })
	b.signIn(t)
	first := b.record(t).Refresh
	b.clock = b.clock.Add(time.Hour)
	b.valid(t)
	r := b.record(t)
	if r.Former != first || r.Refresh == first {
		t.Fatalf("former %v, new %v", r.Former == first, r.Refresh != first)
	}
	if _, err := http.PostForm(b.provider.URL+"/revoke", url.Values{"token": {r.Refresh}}); err != nil {
		t.Fatal(err)
	}
	b.clock = b.clock.Add(time.Hour)
	b.wants(t, fault.Temporary, false, "")
	b.clock = b.clock.Add(againAfter)
	b.valid(t)
	if now := b.record(t); now.Former != first || now.Refresh == r.Refresh {
		t.Error("the former one has not brought another")
	}
	before := b.record(t).Refresh
	b.clock = b.clock.Add(time.Hour)
	b.valid(t)
	if b.record(t).Former != before {
		t.Error("the one that has worked is not the former one now")
	}
	b.provider.Change(func(v *oauthtest.Behaviour) { v.Rotate = false })
	b.clock = b.clock.Add(time.Hour)
	b.valid(t)
	if b.record(t).Former != "" {
		t.Error("the newest one has worked, and the one before it is kept")
	}
}

// The answer is lost after the provider has rotated the token.
func TestALostAnswer(t *testing.T) {
	for _, keeps := range []bool{true, false} {
		b := newBench(t)
		b.provider.Change(func(v *oauthtest.Behaviour) { v.Rotate, v.KeepFormer, v.LoseNext = true, keeps, 1 })
		b.signIn(t)
		b.clock = b.clock.Add(time.Hour)
		b.wants(t, fault.Temporary, false, "")
		if keeps {
			b.valid(t)
			continue
		}
		b.wants(t, fault.Temporary, false, "tried once more")
		b.clock = b.clock.Add(againAfter)
		b.wants(t, fault.Auth, true, "account signin work")
	}
}

// What is no refusal keeps everything, and a token that is still good is used.
func TestTroubleKeepsTheSignIn(t *testing.T) {
	b := newBench(t)
	b.signIn(t)
	trouble := []oauthtest.Answer{{Status: 503}, {Status: 429, Body: "{}"}, {Status: 500, Body: `{"error":"invalid_grant"}`}, {Status: 200, Body: "<html>"},
		{Status: 400, Body: `{"error":"invalid_grant","error_description":"AADSTS53003: blocked by policy"}`}}
	b.clock = b.clock.Add(59*time.Minute + time.Second)
	for range 2 { // before it expires, and after
		b.provider.Change(func(v *oauthtest.Behaviour) { v.Answers = append([]oauthtest.Answer{}, trouble...) })
		for range trouble {
			_, err := b.Token(t.Context(), b.account)
			if expired := !b.clock.Before(b.record(t).Expires); (err != nil) != expired {
				t.Errorf("expired %v: %v", expired, err)
			}
			if _, needed := errors.AsType[*health.SignInNeeded](err); needed || b.record(t).Refusals != 0 {
				t.Errorf("%v was taken for a refusal", err)
			}
		}
		b.clock = b.clock.Add(time.Minute)
	}
	b.valid(t)
}

func TestAGoogleProjectInTesting(t *testing.T) {
	for days, want := range map[int]string{7: "Testing", 30: "account signin work"} {
		b := newBench(t)
		google := *b.account.OAuth
		google.Provider = "google"
		b.account.OAuth = &google
		b.signIn(t)
		b.provider.Revoke(b.account.Username)
		b.clock = b.clock.Add(time.Duration(days) * 24 * time.Hour)
		b.wants(t, fault.Temporary, false, "")
		b.clock = b.clock.Add(againAfter)
		b.wants(t, fault.Auth, true, want)
	}
}
