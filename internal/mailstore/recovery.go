package mailstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
)

// recoveryLog is what an index can be made from again, beside the message
// files: a text file to which each transaction appends what it changed, and at
// last its number. All of it is under the mutex of the writer.
//
// A transaction is appended after its commit, without a sync: a power cut may
// take the last seconds of the log, which matter only if the index is destroyed
// in the same moment. The index has the number of its last transaction too, and
// Open rewrites the log from the index when it lags behind, or has grown to
// more than about twice of what is needed. A log that is ahead of the index
// means that the index is an old copy, which is refused: it would give UIDs a
// second time.
//
//	M id uidvalidity uidnext modseq name use        mailbox made, or its new name
//	D id                                            mailbox deleted
//	A box uid hash size received system keywords saved   message added
//	Y box uid from saved UIDS                       copies, with consecutive UIDs from uid
//	F box system keywords UIDS                      flags
//	R box UIDS                                      moved away
//	E box id at UIDS                                expunged, with consecutive ids from id
//	U id box uid saved                              undeleted
//	X id box uidvalidity uid hash size received system keywords at name   one expunged message
//	P before                                        expunged messages forgotten
//	Z at hash                                       content purged
//	N hash found                                    see content.found
//	K id names                                      keyword set
//	L account uidl dup hash size list state stored removed   ledger entry
//	S account uidl dup state                        its state
//	Q account uidl dup doubt                        its doubt
//	J account uidl dup newuidl newdup list          its new id
//	G account uidl dup                              forgotten
//	C account n                                     n more stored
//	H account had                                   it had UIDL
//	+ name, - name                                  subscription
//	I id                                            identity of the store
//	V name read-only created hash, W name           device added, revoked
//	T name read-only folders capabilities           what it may do and see
//	O name generated                                its password was generated
//	B name lan                                      it may come from the local network
//	s name send                                     whether it may send
//	o box                                           the Outbox
//	q row                                           message on its way out, or sent, as outgoingColumns
//	r id place address state reply                  recipient
//	d id                                            message of which nothing was sent, cancelled or dismissed
//	= n                                             end of transaction n
//
// saved is not in logs of before schema 4, O and B in none of before schema 6, o, q, r
// and d in none of before schema 7, s in none of before schema 8.
type recoveryLog struct {
	file *os.File // nil: not kept, or to be rewritten
	seq  int64    // of the last transaction in it
	keep bool
}

func (s *Store) indexPath() string { return filepath.Join(s.dir, "index.db") }

func (s *Store) logPath() string { return filepath.Join(s.dir, "recovery.log") }

// note ends the lines of a transaction: called before its commit.
func (t *tx) note() error {
	t.log.close()
	if len(t.log.buf) == 0 {
		return nil
	}
	err := t.get(`UPDATE meta SET value = value + 1 WHERE key = 'log' RETURNING value`, nil, &t.seq)
	t.log.line('=', t.seq)
	return err
}

// appendLocked appends a transaction that is committed. An error of the log is
// none of the transaction: the log is rewritten later.
func (s *Store) appendLocked(t *tx) {
	l := &s.recovery
	if len(t.log.buf) == 0 || l.file == nil {
		return
	}
	var err error
	if t.seq != l.seq+1 {
		err = errors.New("another program changed the index")
	} else if err = s.step("log"); err == nil {
		_, err = l.file.Write(t.log.buf)
	}
	if err != nil {
		s.log.Warn().Err(err).Msg("recovery log could not be written and will be rebuilt")
		s.dropLogLocked()
		return
	}
	l.seq = t.seq
}

// dropLogLocked stops appending until the log is rewritten.
func (s *Store) dropLogLocked() {
	if s.recovery.file != nil {
		_ = s.recovery.file.Close() // it is not used any more
		s.recovery.file = nil
	}
}

// reconcile compares the log with the index at Open.
func (s *Store) reconcile(ctx context.Context) error {
	s.writer.mu.Lock()
	s.recovery.keep = true
	err := s.continueLogLocked(ctx)
	s.writer.mu.Unlock()
	if err == nil {
		s.tidyLog(ctx)
	}
	return err
}

// compareLog reads the number of the last transaction in the index and in the log, of
// which that of the log must not be higher.
func (s *Store) compareLog(ctx context.Context) (seq, last int64, whole bool, err error) {
	if err := s.reader.get(ctx, `SELECT value FROM meta WHERE key = 'log'`, nil, &seq); err != nil {
		return 0, 0, false, err
	}
	last, whole, err = lastLogged(s.logPath())
	if err == nil && last > seq {
		err = fault.New(fault.Corrupt, "the index of the mail store is older than the mail store", repairHint)
	}
	return seq, last, whole, err
}

// continueLogLocked opens the log for appending if it ends where the index does.
func (s *Store) continueLogLocked(ctx context.Context) error {
	s.dropLogLocked()
	seq, last, whole, err := s.compareLog(ctx)
	if err != nil {
		return err
	}
	s.recovery.seq = last
	if whole && last == seq {
		s.recovery.file, err = openLog(s.logPath())
	}
	return err
}

func openLog(path string) (*os.File, error) {
	return atomicfile.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0o600)
}

// tidyLog rewrites the log where that is needed, and makes it durable. What
// it cannot do now, it does the next time.
func (s *Store) tidyLog(ctx context.Context) {
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	if !s.recovery.keep || s.writer.shut {
		return
	}
	needed, err := s.logOutgrown(ctx)
	if err == nil && needed {
		err = s.renewLogLocked(ctx)
	}
	if err != nil && ctx.Err() == nil {
		s.log.Warn().Err(err).Msg("recovery log could not be kept in order")
	}
}

// logOutgrown reports whether the log is not there, lags behind, or is longer
// than about twice what the rows need.
func (s *Store) logOutgrown(ctx context.Context) (bool, error) {
	l := &s.recovery
	if l.file == nil {
		return true, nil
	}
	info, err := l.file.Stat()
	if err != nil {
		return false, err
	}
	var fresh int64
	err = s.reader.get(ctx, `SELECT 4096 + 85 * (SELECT coalesce(sum(messages), 0) FROM mailbox)
		+ 75 * (SELECT count(*) FROM ledger) + 130 * (SELECT count(*) FROM expunged)
		+ 350 * (SELECT count(*) FROM outgoing) + 60 * (SELECT count(*) FROM outgoing_recipient)`, nil, &fresh)
	if err != nil || info.Size() > 2*fresh {
		return err == nil, err
	}
	return false, l.file.Sync()
}

// renewLogLocked writes the log from the index. When that fails, it is kept as
// it was: a damaged index must not spoil it.
func (s *Store) renewLogLocked(ctx context.Context) error {
	l := &s.recovery
	seq, inUse := l.seq, l.file != nil
	s.dropLogLocked() // Windows replaces no file that is open
	err := s.writeLog(ctx, &seq)
	if err == nil || inUse {
		var oerr error
		l.file, oerr = openLog(s.logPath())
		err = errors.Join(err, oerr)
		l.seq = seq
	}
	return err
}
