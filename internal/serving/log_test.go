package serving

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// TestCrowding: connections that make room for others are told of at once and
// summed up in the log, until there are no more.
func TestCrowding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var mu sync.Mutex
		var told []bool
		c := crowding{protocol: "IMAP", log: zerolog.New(&log), tell: func(yes bool) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, yes)
		}}
		wantTold := func(want string) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if got := fmt.Sprint(told); got != want {
				t.Errorf("told %s, want %s", got, want)
			}
		}
		for range 1000 {
			c.add()
		}
		time.Sleep(logEvery / 2)
		synctest.Wait()
		c.add()
		time.Sleep(logEvery)
		synctest.Wait()
		wantTold("[true]")
		time.Sleep(logEvery)
		synctest.Wait()
		wantTold("[true false]")
		if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), `"count":1001`) {
			t.Errorf("logged %s", log.String())
		}
		c.add()
		c.end()
		c.end()
		wantTold("[true false true false]")
		if strings.Count(log.String(), "\n") != 2 {
			t.Errorf("logged %s", log.String())
		}
	})
}
