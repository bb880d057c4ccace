package mailstore

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/testkit"
)

// big puts n messages into INBOX by way of SQL alone: they share a few
// contents, so that 100,000 of them are there in a second.
func (r *rig) big(n int) MailboxID {
	r.t.Helper()
	r.fill("INBOX", 10)
	id := r.id("INBOX")
	r.sql(`WITH RECURSIVE series (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM series WHERE value < ?)
		INSERT INTO message SELECT mailbox_id, 10 + value, content_id, value % 2, 0, modseq, received_at, size, saved_at
		FROM series JOIN message ON mailbox_id = ? AND uid = 1 + value % 10`, n, id)
	r.sql(`UPDATE mailbox SET (uidnext, messages, unseen, recent, size) =
		(SELECT max(uid) + 1, count(*), sum(system & 1 = 0), count(*), sum(size) FROM message) WHERE id = ?`, id)
	return id
}

func BenchmarkOpenView100k(b *testing.B) {
	r := newStore(b)
	id := r.big(100_000)
	for b.Loop() {
		v, err := r.OpenView(b.Context(), id)
		if err != nil {
			b.Fatal(err)
		}
		v.Close()
	}
}

func BenchmarkSetFlags20k(b *testing.B) {
	r := newStore(b)
	id := r.big(100_000)
	r.view("INBOX")
	uids := make([]UID, 20_000)
	for name, at := range map[string]func(i int) UID{
		"contiguous": func(i int) UID { return UID(50_000 + i) },
		"every 4th":  func(i int) UID { return UID(20 + 4*i) },
	} {
		for i := range uids {
			uids[i] = at(i)
		}
		for op, flag := range map[mailflags.Op]string{mailflags.Add: `\Flagged`, mailflags.Set: "word"} {
			b.Run(fmt.Sprintf("%s/%d", name, op), func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					flags := []string{flag, fmt.Sprint("n", i%2)}
					if got, err := r.SetFlags(b.Context(), id, uids, op, flags); err != nil || len(got) != len(uids) {
						b.Fatal(len(got), err)
					}
				}
			})
		}
	}
}

func BenchmarkDeliver(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := newStore(b)
			id, seq := r.id("INBOX"), 0
			for b.Loop() {
				batch := make([]Delivery, n)
				for i := range batch {
					seq++
					sp := r.spool(string(testkit.Message(seq)))
					batch[i] = Delivery{Mailbox: id, Message: sp, ReceivedAt: start, Origin: &Origin{Account: "home", UIDL: fmt.Sprint(seq)}}
				}
				r.deliver(batch...)
			}
			b.ReportMetric(float64(seq)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// BenchmarkSyncs is what Deliver is measured against: the same files written
// and synced one after the other.
func BenchmarkSyncs(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		for i := range 100 {
			f, err := os.Create(fmt.Sprint(dir, "/", i))
			must(b, err)
			_, err = f.Write(testkit.Message(i))
			must(b, err)
			must(b, f.Sync())
			must(b, f.Close())
		}
	}
}

func BenchmarkContents(b *testing.B) {
	r := newStore(b)
	const n = 2000
	ids := make([]ContentID, n)
	for k := range n / 100 {
		batch := make([]Delivery, 100)
		for i := range batch {
			ids[k*100+i] = ContentID(k*100 + i + 1)
			batch[i] = Delivery{Mailbox: r.id("INBOX"), Message: r.spool(text(k*100 + i)), ReceivedAt: start}
		}
		r.deliver(batch...)
	}
	for name, want := range map[string]Want{"hashes": WantFile, "envelope": WantEnvelope, "header": WantHeader, "structure": WantStructure} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := r.Contents(b.Context(), ids, want); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()*1e6/float64(b.N*n), "µs/content")
		})
	}
}

func BenchmarkExpunge20k(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		r := newStore(b)
		id := r.big(100_000)
		r.sql(`UPDATE message SET system = 8 WHERE uid <= 20000`)
		r.sql(`UPDATE mailbox SET deleted = 20000, unseen = (SELECT sum(system & 1 = 0) FROM message) WHERE id = ?`, id)
		b.StartTimer()
		got, err := r.Expunge(context.Background(), id, nil)
		if err != nil || len(got) != 20_000 {
			b.Fatal(len(got), err)
		}
	}
}

func BenchmarkCopy20k(b *testing.B) {
	r := newStore(b)
	id, dst := r.big(100_000), r.id("Archive")
	uids := make([]UID, 20_000)
	for i := range uids {
		uids[i] = UID(i + 1)
	}
	for b.Loop() {
		if _, err := r.Copy(b.Context(), id, uids, dst); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCachedLogin(b *testing.B) {
	r := newStore(b)
	must(b, r.AddDevice(b.Context(), Device{Name: "laptop"}, "secret"))
	r.clock.t = r.clock.t.Add(time.Minute)
	for b.Loop() {
		if _, err := r.Authenticate(b.Context(), "secret"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLog is what the recovery log costs: the same work with and without it.
func BenchmarkLog(b *testing.B) {
	for _, log := range []bool{false, true} {
		open := func(b *testing.B) *rig {
			r := newStore(b)
			if !log {
				r.writer.mu.Lock()
				r.dropLogLocked()
				r.recovery.keep = false
				r.writer.mu.Unlock()
			}
			return r
		}
		b.Run(fmt.Sprintf("deliver 100/log=%v", log), func(b *testing.B) {
			r := open(b)
			id, seq := r.id("INBOX"), 0
			for b.Loop() {
				batch := make([]Delivery, 100)
				for i := range batch {
					seq++
					batch[i] = Delivery{Mailbox: id, Message: r.spool(text(seq)), ReceivedAt: start, Origin: &Origin{Account: "home", UIDL: fmt.Sprint(seq)}}
				}
				r.deliver(batch...)
			}
		})
		b.Run(fmt.Sprintf("flag 1/log=%v", log), func(b *testing.B) {
			r := open(b)
			r.fill("INBOX", 10)
			for i := 0; b.Loop(); i++ {
				r.flag([]UID{5}, mailflags.Op(1+i%2), `\Seen`)
			}
		})
		b.Run(fmt.Sprintf("flag every 4th of 80k/log=%v", log), func(b *testing.B) {
			r := open(b)
			r.big(100_000)
			uids := make([]UID, 20_000)
			for i := range uids {
				uids[i] = UID(20 + 4*i)
			}
			for i := 0; b.Loop(); i++ {
				r.flag(uids, mailflags.Op(1+i%2), `\Flagged`)
			}
		})
	}
}

func BenchmarkRenewLog100k(b *testing.B) {
	r := newStore(b)
	r.big(100_000)
	for b.Loop() {
		r.writer.mu.Lock()
		err := r.renewLogLocked(b.Context())
		r.writer.mu.Unlock()
		must(b, err)
	}
}
