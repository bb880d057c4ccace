package operations

import (
	"context"
	"time"

	"github.com/popbridge/popbridge/internal/logging"
)

// Records is about the log, the settings and the program itself.
type Records interface {
	// FollowLog calls send with the last records of the log that come after the one with
	// this number, then with new ones, and with none where there was none for so long, until
	// ctx ends or send fails. It returns that error.
	FollowLog(ctx context.Context, after int64, alive time.Duration, send func([]logging.Entry) error) error
	// Settings returns the keys of the config but those of accounts, as the file has them.
	Settings(ctx context.Context) (Settings, error)
	// SetSettings changes keys that a web page may set, and takes them up. Values that are
	// none are told key by key, and nothing is changed then.
	SetSettings(ctx context.Context, ask SetSettings) (SettingsSaved, error)
	// About tells what the program is, and where its files are.
	About(ctx context.Context) (About, error)
}

// ShowLog makes the records of a ring those of the log, before anything is asked.
func (l *Local) ShowLog(r *logging.Ring) { l.log = r }

func (l *Local) FollowLog(ctx context.Context, after int64, alive time.Duration, send func([]logging.Entry) error) error {
	for {
		records, more := l.log.After(after)
		if len(records) > 0 {
			list := make([]logging.Entry, len(records))
			for i, r := range records {
				list[i], after = r.Entry(), r.Seq
			}
			if err := send(list); err != nil {
				return err
			}
		}
		select {
		case <-more:
		case <-time.After(alive):
			if err := send(nil); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
