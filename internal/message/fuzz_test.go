package message

import (
	"bytes"
	"encoding/base64"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit"
)

func addMessages(f *testing.F, add func([]byte)) {
	for n := range 8 {
		add(testkit.Message(n))
	}
	for _, file := range goldenFiles(f) {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		add(a.Files[0].Data)
	}
	add(nested(5))
}

func FuzzParse(f *testing.F) {
	addMessages(f, func(raw []byte) { f.Add(raw) })
	f.Fuzz(func(t *testing.T, raw []byte) {
		checkMessage(t, raw)
	})
}

func FuzzUnmarshal(f *testing.F) {
	addMessages(f, func(raw []byte) {
		b := parseBytes(raw).Marshal()
		f.Add(b.Envelope, b.Header, b.Structure)
	})
	f.Add([]byte{}, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, envelope, header, structure []byte) {
		var s Summary
		if err := s.Unmarshal(Binary{envelope, header, structure}, true); err != nil {
			if !fault.Is(err, fault.Corrupt) {
				t.Errorf("error of another kind: %v", err)
			}
			return
		}
		if s.Root == nil {
			return // that piece was left out
		}
		checkShape(t, s.Root)
		AppendBody(nil, s.Structure)
		s.Envelope.Date()
		s.Envelope.Subject()
		s.Envelope.From()
		s.Header.AppendFields(nil, keptFields)
		for f := range s.Header.Fields() {
			f.Text()
			f.FileName()
		}
		var s2 Summary
		if err := s2.Unmarshal(s.Marshal(), true); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(s, s2) {
			t.Errorf("first %+v\nsecond %+v", s, s2)
		}
	})
}

// FuzzContent: whatever the value of a field is, the texts made of it can be read.
func FuzzContent(f *testing.F) {
	for _, seed := range []string{
		`text/plain; charset="utf-8"; name*0*=utf-8''a%20; name*1=b`, "multipart/mixed; boundary=b", "a/b; x==?u?q?a b?=; x*=y", "(c) a/b ; x = (d) y", "en, de (x)",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		value = strings.NewReplacer("\r", "", "\n", "\r\n ").Replace(value)
		checkMessage(t, []byte("MIME-Version: 1.0\r\nContent-Type: "+value+"\r\nContent-Disposition: "+value+"\r\nContent-Language: "+value+
			"\r\nContent-Transfer-Encoding: "+value+"\r\nContent-ID: "+value+"\r\n\r\ntext\r\n"))
	})
}

// checkShape checks what IMAP needs of a structure that was stored.
func checkShape(t *testing.T, p *Part) {
	if p.Type == "" || p.Subtype == "" || p.Multipart() && len(p.Children) == 0 || p.Message() && len(p.Children) != 1 {
		t.Errorf("IMAP cannot express %+v", p)
	}
	for _, child := range p.Children {
		checkShape(t, child)
	}
}

// What is decoded does not depend on the pieces it is read in, and is what was
// encoded.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"aGVsbG8=aGVs\r\nbG8", "caf=C3=A9 =\r\n =  \t\r\n=4 =", "a \t\r\n\r \r=\r=\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		read := func(encoding string, r io.Reader) []byte {
			r, err := Decode(r, encoding)
			if err != nil {
				t.Fatal(err)
			}
			out, err := io.ReadAll(r)
			if err != nil || len(out) > len(in) {
				t.Fatalf("%d bytes from %d, %v", len(out), len(in), err)
			}
			return out
		}
		for _, encoding := range []string{"base64", "quoted-printable"} {
			whole, pieces := read(encoding, bytes.NewReader(in)), read(encoding, iotest.OneByteReader(bytes.NewReader(in)))
			if !bytes.Equal(whole, pieces) {
				t.Errorf("%s: whole %q, in pieces %q", encoding, whole, pieces)
			}
		}
		encoded := base64.StdEncoding.EncodeToString(in)
		if got, err := Decode(strings.NewReader(encoded), "base64"); err != nil || iotest.TestReader(got, in) != nil {
			t.Errorf("%q is not what was encoded", encoded)
		}
	})
}

func FuzzAddress(f *testing.F) {
	for _, seed := range []string{
		`"Field, Ann" <ann@example.org>, bob@example.org (Bob)`, "g: a@b, c@d;, e@f", "<@x,@y:a@b>", "=?utf-8?q?J=C3=BC?= <j@m>",
		"a . b @ c", "Ann <a@b, Bob <c@d>", "[", "a@[IPv6:::1]", ":;", "<>", "(", "\"",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, n := appendAddresses(nil, []byte(s), 100)
		if (n == 0) != (list == nil) {
			t.Errorf("%d addresses in %q", n, list)
		}
		if n > 0 {
			checkAddresses(t, append(list, ')'))
		}
	})
}
