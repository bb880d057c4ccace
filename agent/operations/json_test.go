package operations_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/state"
)

// The keys are fixed: scripts read them. Nothing may go, or change its type;
// what is new is added here.
func TestTheKeysOfStatus(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	s := operations.Status{Running: true, PID: 7, DataDir: "/data", Listen: []string{"127.0.0.1:1143"}, Clients: 2, Programs: []string{"Thunderbird 140.3"}, LastEnd: &state.End{At: &at, Reason: "it was told to stop"},
		Accounts: []operations.Account{
			{Name: "home", User: "ann", Folder: "INBOX", State: "idle", LastSuccess: &at, NextPoll: &at, Stored: 5012, OnServer: 12, Deletions: []operations.Deletion{}},
			{Name: "work", User: "ann", Folder: "Work", State: "paused", LastError: "password refused", Problems: []string{"message 3: try later"},
				Awaiting: 12, DeletionsTotal: 12, Deletions: []operations.Deletion{{UIDL: "u1", Size: 5300, StoredAt: &at, Reason: "not new", From: "Bo", Subject: "Hi", Date: &at}},
				Notes: []string{"deletions wait"}, Expire: "the server keeps mail for 7 days", MinInterval: 600},
		},
		Health: []health.Condition{{Code: "account-auth", Severity: health.Error, Text: "refused", Hint: "check it", Since: at}},
	}
	const want = `{
  "running": true,
  "pid": 7,
  "data_dir": "/data",
  "listen": [
    "127.0.0.1:1143"
  ],
  "accounts": [
    {
      "name": "home",
      "user": "ann",
      "folder": "INBOX",
      "state": "idle",
      "last_success": "2026-01-02T03:04:05+01:00",
      "next_poll": "2026-01-02T03:04:05+01:00",
      "stored": 5012,
      "on_server": 12,
      "last_error": "",
      "awaiting": 0,
      "deletions": [],
      "deletions_total": 0
    },
    {
      "name": "work",
      "user": "ann",
      "folder": "Work",
      "state": "paused",
      "last_success": null,
      "next_poll": null,
      "stored": 0,
      "on_server": 0,
      "last_error": "password refused",
      "awaiting": 12,
      "deletions": [
        {
          "uidl": "u1",
          "size": 5300,
          "stored_at": "2026-01-02T03:04:05+01:00",
          "reason": "not new",
          "from": "Bo",
          "subject": "Hi",
          "date": "2026-01-02T03:04:05+01:00"
        }
      ],
      "deletions_total": 12,
      "problems": [
        "message 3: try later"
      ],
      "notes": [
        "deletions wait"
      ],
      "expire": "the server keeps mail for 7 days",
      "min_interval": 600
    }
  ],
  "health": [
    {
      "code": "account-auth",
      "severity": "error",
      "text": "refused",
      "hint": "check it",
      "since": "2026-01-02T03:04:05+01:00"
    }
  ],
  "clients": 2,
  "programs": [
    "Thunderbird 140.3"
  ],
  "last_end": {
    "at": "2026-01-02T03:04:05+01:00",
    "reason": "it was told to stop",
    "failed": false
  }
}`
	got, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

// The same of what other commands print, which is declared in several packages.
func TestTheKeysOfOtherResults(t *testing.T) {
	for _, tt := range []struct {
		result any
		want   string
	}{
		{operations.Preview{}, "account delete doubtful fetch kept needs_confirm policy shadow"},
		{operations.Expunged{}, "expunged_at from id mailbox received size subject user"},
		{operations.Restored{}, "id mailbox uid user"},
		{operations.Repaired{}, "aside left mended rebuilt recovered user wanted"},
		{operations.Backup{}, "bytes devices_restored files messages missing new_files user"},
		{operations.ExpungedQuery{}, ""},
	} {
		text, err := json.Marshal(tt.result)
		if err != nil {
			t.Fatal(err)
		}
		var keys map[string]any
		if err := json.Unmarshal(text, &keys); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(slices.Sorted(maps.Keys(keys)), " "); got != tt.want {
			t.Errorf("%T has the keys %q, want %q", tt.result, got, tt.want)
		}
	}
}
