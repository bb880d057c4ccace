package users_test

import (
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
)

// An index is rebuilt only while no one reads it, and the store is there after that.
func TestRebuildNeedsAStoreThatIsNotServed(t *testing.T) {
	t.Parallel()
	cfg := &config.Config{DataDir: t.TempDir(), Accounts: []config.Account{{Name: "home", User: "ann", Folder: "INBOX"}}}
	s := users.New(users.Options{DataDir: cfg.DataDir, Log: zerolog.Nop(), Book: state.Open(t.TempDir(), "config.toml"),
		Health: health.New(zerolog.Nop(), time.Now), Config: func() *config.Config { return cfg }})
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	store, err := s.Store(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rebuild(t.Context(), "ann", true); !fault.Is(err, fault.Conflict) || fault.Hint(err) == "" {
		t.Errorf("a store that is in use: %v", err)
	}
	if _, err := s.Rebuild(t.Context(), "ann", false); err != nil {
		t.Errorf("one that is not: %v", err)
	}
	if again, err := s.Store(t.Context(), "ann"); err != nil || again == store || again.ID() != store.ID() {
		t.Errorf("opened again: %v", err)
	}
	if _, err := s.Store(t.Context(), "anna"); !fault.Is(err, fault.Config) {
		t.Errorf("a user who is not there: %v", err)
	}
}
