package localimap

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestASearchEndsWithItsClient: nobody waits for the answer any more.
func TestASearchEndsWithItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := &search{session: &session{conn: newConn(ours, func() {}), ctx: ctx}, last: time.Now()}
		<-time.After(2 * aliveEvery)
		if err := r.check(); err != nil {
			t.Errorf("the client is there: %v", err)
		}
		_ = theirs.Close()
		if err := r.check(); err != nil {
			t.Errorf("looked again after no time: %v", err)
		}
		<-time.After(2 * aliveEvery)
		if err := r.check(); !errors.Is(err, errClientGone) || !r.conn.broken.Load() {
			t.Errorf("the client is gone: %v", err)
		}
		cancel()
		if err := r.check(); !errors.Is(err, context.Canceled) {
			t.Errorf("the server stops: %v", err)
		}
	})
}
