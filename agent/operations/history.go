package operations

import (
	"context"
	"time"

	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/config"
)

// HistoryFile is the name of the file that keeps the history, in the data folder.
const HistoryFile = "history.json"

// historyShown is how many days History tells of.
const historyShown = 90

func (l *Local) History(ctx context.Context) ([]state.Day, error) {
	if l.running() {
		if err := l.NoteHistory(ctx); err != nil {
			return nil, err
		}
	}
	return l.history.Last(historyShown), nil
}

// beginHistory lets the history count what the first poll of an account brings. One that
// has stored something before is compared with what it has.
func (l *Local) beginHistory(ctx context.Context, c config.Account) {
	if !l.running() {
		return
	}
	store, err := l.users.Store(ctx, c.User)
	if err != nil {
		return // and it cannot poll either
	}
	kept, err := store.AccountState(ctx, c.Name)
	if err == nil && kept.Stored == 0 && kept.LastSuccess.IsZero() {
		err = l.history.Begin(c.User + "/" + c.Name)
	}
	if err != nil && ctx.Err() == nil {
		l.users.Log.Warn().Err(err).Str("account", c.Name).Msg("what a new account brings first is missing in the history")
	}
}

// NoteHistory writes down how much mail there is now. A store that cannot be read leaves
// the numbers as they were: they would be those of the others only.
func (l *Local) NoteHistory(ctx context.Context) error {
	l.noting.Lock()
	defer l.noting.Unlock()
	stored := map[string]int64{}
	var bytes int64
	for _, ac := range l.accounts.All() {
		store, err := l.users.Store(ctx, ac.Config.User)
		if err != nil {
			return ctx.Err()
		}
		kept, err := store.AccountState(ctx, ac.Config.Name)
		if err != nil {
			return ctx.Err()
		}
		stored[ac.Config.User+"/"+ac.Config.Name] = kept.Stored
	}
	users, err := l.Users(ctx)
	if err != nil {
		return err
	}
	for _, u := range users {
		if u.Error != "" {
			return nil
		}
		bytes += u.Size
	}
	return l.history.Note(time.Now(), stored, bytes)
}
