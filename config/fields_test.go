package config

import (
	"reflect"
	"testing"
)

// accountFields has one function for each field of Account and PasswordSource
// that gives it another value.
var accountFields = []func(*Account){
	func(a *Account) { a.Name = "x" },
	func(a *Account) { a.Host = "x" },
	func(a *Account) { a.Port = 1 },
	func(a *Account) { a.TLS = "x" },
	func(a *Account) { a.Username = "x" },
	func(a *Account) { a.Auth = "x" },
	func(a *Account) { a.CAFile = "x" },
	func(a *Account) { a.PollEvery = 1 },
	func(a *Account) { a.Keep.Newest = 1 },
	func(a *Account) { a.Quota = 1 },
	func(a *Account) { a.ConfirmDeletes = true },
	func(a *Account) { a.Shadow = true },
	func(a *Account) { a.DeleteExpunged = true },
	func(a *Account) { a.DeleteGrace = 1 },
	func(a *Account) { a.User = "x" },
	func(a *Account) { a.Folder = "x" },
	func(a *Account) { a.MaxMessageSize = 1 },
	func(a *Account) { a.Password.File = "x" },
	func(a *Account) { a.Password.Command = []string{"x"} },
}

func TestAccountFieldsAreAll(t *testing.T) {
	n := reflect.TypeFor[Account]().NumField() - 1 + reflect.TypeFor[PasswordSource]().NumField()
	if n != len(accountFields) {
		t.Errorf("there are %d fields, %d are tried: extend accountFields and Account.Equal", n, len(accountFields))
	}
}
