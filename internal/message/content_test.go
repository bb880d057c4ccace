package message

import (
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
)

// TestContent: the parts of BODYSTRUCTURE as Dovecot 2.3 answers them.
func TestContent(t *testing.T) {
	for in, want := range map[string]string{
		"text/plain":               `"text" "plain" ("charset" "us-ascii")`,
		"TEXT/Html; Charset=UTF-8": `"TEXT" "Html" ("Charset" "UTF-8")`,
		` text / html (a comment) ; x = "y" ; format=flowed (really)`: `"text" "html" ("x" "y" "format" "flowed" "charset" "us-ascii")`,
		`a/b; boundary="a;b\"c"; x=`:                                  `"a" "b" ("boundary" "a;b\"c" "x" "")`,
		"a/b; name=my file.txt; x=y z":                                `"a" "b" ("name" "my" "x" "y")`,
		"a/b; name==?utf-8?q?caf=C3=A9?=.txt":                         `"a" "b" ("name" "=?utf-8?q?caf=C3=A9?=.txt")`,
		"a/b;; x=y; z=1":                                              `"a" "b" ("z" "1")`,
		`a/b; x="y`:                                                   `"a" "b" NIL`,
		"a/b; x; y=z":                                                 `"a" "b" NIL`,
		"a/b; x=1; x=2; X=3":                                          `"a" "b" ("x" "1" "x" "2" "X" "3")`,
		"a/b; x=\xe9":                                                 "\"a\" \"b\" (\"x\" {1}\r\n\xe9)",
		"a/b; x=\"\\\"\\\"\\\"\\\"\\\"\"":                             "\"a\" \"b\" (\"x\" {5}\r\n\"\"\"\"\")",
		// RFC 2231
		"a/b; name*=utf-8''%e2%82%ac%20rates; x=y":                     `"a" "b" ("x" "y" "name*" "utf-8''%e2%82%ac%20rates")`,
		"a/b; name*0*=utf-8''a%20; name*1=\"b%20\"; name*2*=%e2%82%ac": `"a" "b" ("name*" "utf-8''a%20b%2520%e2%82%ac")`,
		"a/b; name*1=b; name*0=a; name=c":                              `"a" "b" ("name" "c" "name" "ab")`,
		"a/b; name*0=a; name*1*=b":                                     `"a" "b" ("name*" "''ab")`,
		"a/b; name*0=a; name*2=b":                                      `"a" "b" ("name*0" "a" "name*2" "b")`,
		"a/b; name*x=1":                                                `"a" "b" ("name*x" "1")`,
		"multipart":                                                    `"application" "octet-stream" NIL`,
		"text":                                                         `"text" "" ("charset" "us-ascii")`,
		"foo":                                                          `"foo" "" NIL`,
		"text/plain charset=x":                                         `"" "" NIL`,
		"/plain":                                                       `"" "" NIL`,
		"message/rfc822 x":                                             `"" "" NIL`,
	} {
		c := content{}
		p := &parser{kept: maxKept}
		p.contentField(&c, "type", []byte(in))
		part := &Part{}
		c.describe(part, false)
		if got := string(c.types(part)); got != want {
			t.Errorf("%q is\n%q, want\n%q", in, got, want)
		}
	}
}

// TestManyParams: of one field 128 parameters are read, and each octet that is none
// counts like one.
func TestManyParams(t *testing.T) {
	for in, want := range map[string]int{
		strings.Repeat("; a=b", 128) + "; last=x":            128,
		strings.Repeat("; a=b", 127) + "; last=x":            128,
		"; a=b " + strings.Repeat("y", 127) + "; last=x":     1,
		"; a=b " + strings.Repeat("y", 126) + "; last=x":     2,
		"; a=b " + strings.Repeat("y ", 63) + "; last=x":     2,
		"; a*0=b; a*1=c " + strings.Repeat("y", 126) + ";x=": 1,
	} {
		if got := len((&lexer{in: []byte(in)}).params()); got != want {
			t.Errorf("%q has %d, want %d", in, got, want)
		}
	}
}

func TestFileName(t *testing.T) {
	for in, want := range map[string]string{
		`attachment; filename="=?utf-8?q?caf=C3=A9?=.txt"`:                         "café.txt",
		"attachment; filename*=iso-8859-1'en'%A3%20rates":                          "£ rates",
		"attachment; filename*0*=utf-8''a%20; filename*1=b; filename*2*=%e2%82%ac": "a b€",
		"attachment; filename*=utf-8''%zz%4":                                       "%zz%4",
		"attachment":                                                               "",
	} {
		h, err := ReadHeader(strings.NewReader("Content-Disposition: " + in))
		if err != nil {
			t.Fatal(err)
		}
		for f := range h.Fields() {
			if got := f.FileName(); got != want {
				t.Errorf("%s: %q", in, got)
			}
		}
	}
}

func TestReadHeaderPassesErrorsOn(t *testing.T) {
	if _, err := ReadHeader(iotest.ErrReader(iotest.ErrTimeout)); err != iotest.ErrTimeout {
		t.Errorf("%v", err)
	}
}

func TestEnvelopeIsDecoded(t *testing.T) {
	e := parseBytes([]byte("Date: Tue, 3 Mar 2026\r\n 09:09:58 +0100\r\nSubject: =?utf-8?q?J=C3=BC?=\r\n\t=?utf-8?q?rgen?= \"\xe9\"\r\n" +
		"From: \"Field, Ann\" <@x:ann@example.org>, b@c\r\n\r\n")).Envelope
	if got := e.Date().Format("2006-01-02 15:04 -0700") + e.Subject() + e.From(); got != "2026-03-03 09:09 +0100"+"Jürgen \"é\""+"Field, Ann <ann@example.org>" {
		t.Errorf("%q of %q", got, e)
	}
	for _, e := range []Envelope{nil, Envelope(emptyEnvelope), Envelope("()"), Envelope("(")} {
		if !e.Date().IsZero() || e.Subject() != "" || e.From() != "" {
			t.Errorf("%q says something", e)
		}
	}
}

// TestBoundaryWithoutLineEnd: at the very end of a message a boundary line that has
// no line end begins no part.
func TestBoundaryWithoutLineEnd(t *testing.T) {
	const text = `("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" %d 0 NIL NIL NIL NIL)`
	for body, want := range map[string][]int{
		"--b":                        {0},
		"--b\r\n\r\nx\r\n--b":        {1},
		"--b\r\nX: y\r\n--b x":       {0},
		"--b\r\n\r\nx\r\n--b\r\n":    {1, 0},
		"--b\r\n\r\nx\r\n--b--\r\n":  {1},
		"--b\r\n\r\nx\r\n--b\r\n--b": {1, 0},
	} {
		var parts string
		for _, size := range want {
			parts += fmt.Sprintf(text, size)
		}
		got := string(parseBytes([]byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n" + body)).Structure)
		if want := "(" + parts + ` "mixed" ("boundary" "b") NIL NIL NIL)`; got != want {
			t.Errorf("%q: %s, want %s", body, got, want)
		}
	}
}
