package logging_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/internal/logging"
)

// A ring keeps the last records, whole, and their order; neither many nor large ones grow it.
func TestRingIsBounded(t *testing.T) {
	r := logging.NewRing()
	for i := range 5000 {
		_, _ = fmt.Fprintf(r, "{\"n\":%d}\n", i)
	}
	list, _ := r.After(0)
	if len(list) != 2000 || string(list[0].JSON) != `{"n":3000}` || string(list[1999].JSON) != `{"n":4999}` {
		t.Fatalf("%d records, the first %s", len(list), list[0].JSON)
	}
	for i := 1; i < len(list); i++ {
		if list[i].Seq <= list[i-1].Seq {
			t.Fatalf("record %d does not come after the one before", i)
		}
	}
	if rest, _ := r.After(list[1990].Seq); len(rest) != 9 {
		t.Errorf("%d records after the tenth from the end", len(rest))
	}
	if all, _ := r.After(list[1999].Seq + 1); len(all) != 2000 { // as of a process before whose clock was ahead
		t.Errorf("%d records after one that there is not yet", len(all))
	}
	large := strings.Repeat("x", 1<<20)
	for range 10 {
		_, _ = io.WriteString(r, large+"\n")
	}
	if list, _ = r.After(0); len(list) != 4 {
		t.Errorf("%d records of 1 MiB, want 4", len(list))
	}
	if _, _ = io.WriteString(r, strings.Repeat("x", 5<<20)); len(list) != 4 {
		t.Error("a record that is larger than the ring is kept")
	}
}

// Several goroutines write while others wait for what comes; each sees all of it.
func TestRingWakesWhoWaits(t *testing.T) {
	r := logging.NewRing()
	const writers, each = 4, 200
	var readers, done sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			var seq int64
			for n := 0; n < writers*each; {
				list, more := r.After(seq)
				if len(list) == 0 {
					<-more
					continue
				}
				n += len(list)
				seq = list[len(list)-1].Seq
			}
		})
	}
	for range writers {
		done.Go(func() {
			for range each {
				_, _ = io.WriteString(r, "{}\n")
			}
		})
	}
	done.Wait()
	readers.Wait()
}

// The records of a logger are in its ring whatever it writes for people, and in words.
func TestEntries(t *testing.T) {
	r := logging.NewRing()
	log, level := logging.NewAdjustable(io.Discard, "info", "console", r)
	log.Debug().Msg("not at this level")
	log.Info().Str("account", "home").Int("stored", 2).Msg("poll done")
	log.Warn().Str("source", "account work").Str("code", "account-auth").Str("text", "account work: refused").Str("hint", "look").Msg("health condition raised")
	log.Warn().Err(errors.New("no route")).Str("account", "home").Msg("poll failed")
	level.Set("debug")
	log.Debug().Int("n", 3).Msg("at this level")
	list, _ := r.After(0)
	var got []string
	for _, one := range list {
		e := one.Entry()
		if e.Time == "" || e.Seq != one.Seq {
			t.Errorf("%+v", e)
		}
		got = append(got, e.Level+"|"+e.Account+"|"+e.Text+"|"+e.Hint+"|"+e.Detail)
	}
	want := []string{"info|home|fetched 2 messages from home in 0 ms||", "warn|work|account work: refused (account-auth)|look|", "warn|home|poll failed||error=no route", "debug||at this level||n=3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if e := (logging.Record{Seq: 1, JSON: []byte("no JSON")}).Entry(); e.Text != "no JSON" {
		t.Errorf("%+v", e)
	}
}
