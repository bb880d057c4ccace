package clientfiles

import (
	"bytes"
	_ "embed" // the template of the page
	"encoding/pem"
	"html/template"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"code": code, "security": SecurityWords, "odd": func(i int) bool { return i%2 == 1 }}).Parse(pageHTML))

// Page is an HTML page to print: all values, and the steps for each program. It is one
// file without scripts, and loads nothing. day is when it was made.
func (m Mailbox) Page(day string) []byte {
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, struct {
		Mailbox
		Name, Day string
	}{m, m.name(), day})
	if err != nil {
		panic(err) // a mistake in the template, which every test of it finds
	}
	return b.Bytes()
}

func authorityPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
