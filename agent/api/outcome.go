package api

import (
	"cmp"
	"reflect"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
)

// Outcome is what a request was about, and what came of it, for the log: names, and
// nothing else of what was asked or answered.
type Outcome struct {
	Account, User, Device string // as far as they were named
	Failed                string // the kind of the error; "" where it was done
}

// What has failed where an answer says which values are wrong, or an error without its kind.
const (
	wrongValues = "wrong values"
	noKind      = "error"
)

// outcome looks for names and errors where the types of all requests and answers have them.
func outcome(ask, answer any, err error) Outcome {
	asked, answered := reflect.ValueOf(ask), reflect.ValueOf(answer)
	o := Outcome{
		Account: cmp.Or(text(asked, "Account"), text(asked, "Accounts"), text(answered, "Account"), text(asked, "Address")),
		User:    cmp.Or(text(asked, "User"), text(asked, "From")),
		Device:  cmp.Or(text(asked, "Device"), text(asked, "Name")),
	}
	if err != nil {
		o.Failed = toWire(err).Kind
		return o
	}
	o.Failed = failed(answered)
	for i := 0; answered.Kind() == reflect.Slice && i < answered.Len() && o.Failed == ""; i++ {
		o.Failed = failed(answered.Index(i))
	}
	return o
}

// failed is why what an answer is about was not done, though the operation was.
func failed(answer reflect.Value) string {
	switch {
	case answer.Kind() != reflect.Struct:
	case field(answer, "Wrong").Kind() == reflect.Slice && field(answer, "Wrong").Len() > 0:
		return wrongValues
	case text(answer, "Error") != "":
		return cmp.Or(text(answer, "Kind"), noKind)
	}
	return ""
}

// field is that of a struct; it is not valid where there is none.
func field(v reflect.Value, name string) reflect.Value {
	if v.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return v.FieldByName(name)
}

// text is a field that is a text, or a list of texts.
func text(v reflect.Value, name string) (s string) {
	switch f := field(v, name); {
	case f.Kind() == reflect.String:
		s = f.String()
	case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.String:
		list := make([]string, f.Len())
		for i := range list {
			list[i] = f.Index(i).String()
		}
		s = strings.Join(list, ", ")
	}
	return strings.ToValidUTF8(s[:min(len(s), fault.MaxQuoted)], "")
}
