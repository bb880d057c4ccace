package operations

import (
	"context"
	"time"

	"github.com/popbridge/popbridge/agent/state"
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

// NoteHistory writes down how much mail there is now. A store that cannot be read leaves
// the numbers as they were: they would be those of the others only.
func (l *Local) NoteHistory(ctx context.Context) error {
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
