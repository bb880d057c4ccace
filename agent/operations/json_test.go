package operations_test

import (
	"encoding/json"
	"maps"
	"reflect"
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
	s := operations.Status{Running: true, PID: 7, DataDir: "/data", Listen: []string{"127.0.0.1:1143"}, SMTP: []string{"127.0.0.1:1587"}, Web: "127.0.0.1:1180", Clients: 2,
		LAN: operations.LAN{Listen: []string{"192.168.1.20:1993"}, Clients: []operations.LANClient{{User: "ann", Device: "phone", Address: "192.168.1.30", Since: at, Program: "iPhone Mail"}}, SMTP: []string{"192.168.1.20:1465"}}, Programs: []string{"Thunderbird 140.3"}, LastEnd: &state.End{At: &at, Reason: "it was told to stop"},
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
  "smtp": [
    "127.0.0.1:1587"
  ],
  "lan": {
    "listen": [
      "192.168.1.20:1993"
    ],
    "clients": [
      {
        "user": "ann",
        "device": "phone",
        "address": "192.168.1.30",
        "since": "2026-01-02T03:04:05+01:00",
        "program": "iPhone Mail"
      }
    ],
    "smtp": [
      "192.168.1.20:1465"
    ]
  },
  "web": "127.0.0.1:1180",
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

// The same of what other commands print, and of what goes over the control socket,
// which is declared in several packages. No field is empty, so that each key is there.
func TestTheKeysOfOtherResults(t *testing.T) {
	for _, tt := range []struct {
		result any
		want   string
	}{
		{operations.Preview{}, "account delete digest doubtful error fetch hint incomplete kept kind needs_confirm policy shadow"},
		{operations.Expunged{}, "expunged_at from id mailbox received size subject until user"},
		{operations.Restored{}, "id mailbox uid user"},
		{operations.Repaired{}, "aside left mended rebuilt recovered user wanted"},
		{operations.Backup{}, "bytes devices devices_restored files held messages missing new_files user"},
		{operations.ExpungedQuery{}, "limit mailbox match since user"},
		{operations.Undelete{}, "all ids user"},
		{operations.Progress{}, "account all_bytes answer asked bytes done messages phase step total user"},
		{operations.SyncResult{}, "account awaiting deleted error hint incomplete kind left new paused problems refused refused_said stored"},
		{operations.Probe{}, "account bytes capabilities certificate error hint kind messages pin pinned refused sending server tls warnings"},
		{operations.Device{}, "connected_since connections created_at folders lan last_used_at name programs read_only send user without"},
		{operations.AddDevice{}, "folders generated lan name password read_only send user without"},
		{operations.SetDevice{}, "folders lan name read_only send user without"},
		{operations.Pairing{}, "fingerprint host page_fingerprint port smtp_port until url"},
		{operations.LANClient{}, "address device program since user"},
		{operations.User{}, "accounts devices error hint messages name size"},
		{operations.Confirmed{}, "deletions held incomplete user"},
		{operations.Problem{}, "code text user"},
	} {
		v := reflect.New(reflect.TypeOf(tt.result)).Elem()
		fill(v)
		text, err := json.Marshal(v.Interface())
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

// fill sets every field to something that is not empty.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1, 0)))
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i))
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Float64:
		v.SetFloat(1)
	}
}
