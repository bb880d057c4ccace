package outbox

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

func TestSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.submit("b@example.com")
		stop := g.serve()
		synctest.Wait()
		g.wantTaken(map[string]int{"b@example.com": 1})
		if err := g.runner.Serve(t.Context()); !fault.Is(err, fault.Conflict) {
			t.Errorf("served twice: %v", err)
		}
		g.submit("c@example.com", "d@example.com")
		synctest.Wait()
		g.wantTaken(map[string]int{"b@example.com": 1, "c@example.com": 1, "d@example.com": 1})
		if s := g.runner.Status(); s.State != Idle || s.Err != nil || !s.LastSent.Equal(time.Now()) || !s.Next.IsZero() {
			t.Errorf("status %+v", s)
		}
		if len(g.queue.left) != 2 || len(g.queue.all) != 0 {
			t.Errorf("left %v, in the queue %v", g.queue.left, g.queue.all)
		}
		if body := g.server.taken[0].body; bytes.Contains(body, []byte("hidden")) || !bytes.Contains(body, []byte("Subject: test\r\nMessage-ID")) {
			t.Errorf("sent %q", body)
		}
		stop()
	})
}
