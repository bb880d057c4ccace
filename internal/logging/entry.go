package logging

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rs/zerolog"
)

// Entry is a record in words, for who looks at a log.
type Entry struct {
	Seq     int64             `json:"seq"`
	Time    string            `json:"time"`    // RFC 3339
	Level   string            `json:"level"`   // "trace", "debug", "info", "warn" or "error"
	Text    string            `json:"text"`    // what happened
	Hint    string            `json:"hint"`    // what to do; may be empty
	Detail  string            `json:"detail"`  // "key=value ..." where Text is not made of the fields
	Account string            `json:"account"` // "" for what is about none
	Fields  map[string]string `json:"fields"`  // all else that the record has
}

// Entry returns the record in words.
func (r Record) Entry() Entry {
	f, err := parseFields(r.JSON)
	if err != nil {
		return Entry{Seq: r.Seq, Text: string(r.JSON), Fields: map[string]string{}}
	}
	e := Entry{Seq: r.Seq, Time: f.text(zerolog.TimestampFieldName), Level: f.text(zerolog.LevelFieldName), Account: f.text("account"), Fields: map[string]string{}}
	e.Text, e.Hint, _ = f.sentence()
	if e.Text == "" {
		e.Text = f.text(zerolog.MessageFieldName)
	}
	if name, ok := strings.CutPrefix(f.text("source"), "account "); ok && e.Account == "" {
		e.Account = name
	}
	for key, value := range f {
		switch key {
		case zerolog.TimestampFieldName, zerolog.LevelFieldName, zerolog.MessageFieldName, "hint":
			continue
		}
		e.Fields[key] = fmt.Sprint(readable(key, value))
	}
	if e.Text != f.text(zerolog.MessageFieldName) {
		return e
	}
	for _, key := range slices.Sorted(maps.Keys(e.Fields)) {
		if key != "component" && key != "account" {
			e.Detail += key + "=" + e.Fields[key] + " "
		}
	}
	e.Detail = strings.TrimSuffix(e.Detail, " ")
	return e
}

func parseFields(record []byte) (f fields, err error) {
	dec := json.NewDecoder(bytes.NewReader(record))
	dec.UseNumber()
	err = dec.Decode(&f)
	return f, err
}
