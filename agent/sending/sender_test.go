package sending

import (
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/bridge/outbox"
	"github.com/popbridge/popbridge/config"
)

// Mail that this computer keeps from leaving is a condition of its account until none is left.
func TestStuckIsACondition(t *testing.T) {
	registry := health.New(zerolog.Nop(), time.Now)
	s := New(users.New(users.Options{Health: registry, Config: func() *config.Config { return &config.Config{Path: "config.toml"} }}), nil)
	o := &sender{set: s, account: config.Account{Name: "home", User: "me"}}
	o.report(outbox.Status{Account: "home", Waiting: 3, Stuck: 2})
	list := registry.List()
	if len(list) != 1 || list[0].Code != health.CodeSendStuck || list[0].User != "me" || list[0].Hint == "" ||
		list[0].Text != "account home: 2 messages cannot be sent for a reason on this computer" {
		t.Errorf("%+v", list)
	}
	o.report(outbox.Status{Account: "home", Waiting: 1})
	if list := registry.List(); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}
