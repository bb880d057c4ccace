package message

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// typical is a message as most are: some trace, HTML and text.
func typical() []byte {
	var b strings.Builder
	for i := range 6 {
		fmt.Fprintf(&b, "Received: from mx%d.example.net (mx%d.example.net [192.0.2.%d])\r\n\tby mail.example.org (Postfix) with ESMTPS id 4XyZ%d\r\n\tfor <ann@example.org>; Tue, 3 Mar 2026 09:1%d:00 +0100 (CET)\r\n", i, i, i, i, i)
	}
	b.WriteString("Date: Tue, 3 Mar 2026 09:09:58 +0100\r\nFrom: =?utf-8?q?J=C3=BCrgen?= Meyer <j.meyer@example.com>\r\n" +
		"To: Ann Field <ann@example.org>, Bob <bob@example.org>\r\nSubject: =?utf-8?q?Minutes_of_the_meeting_=E2=80=94_please_check?=\r\n" +
		"Message-ID: <20260303.1234@example.com>\r\nIn-Reply-To: <abc@example.org>\r\nReferences: <abc@example.org>\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"=_b1\"\r\n\r\n")
	for _, kind := range []string{"plain", "html"} {
		fmt.Fprintf(&b, "--=_b1\r\nContent-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", kind)
		for range 40 {
			b.WriteString("The quick brown fox jumps over the lazy dog, =E2=80=9Ctwice=E2=80=9D, they say=\r\n")
		}
		b.WriteString("\r\n")
	}
	b.WriteString("--=_b1--\r\n")
	return []byte(b.String())
}

// attachment is a message with a base64 attachment of about size bytes.
func attachment(size int) []byte {
	line := strings.Repeat("QUJDREVGR0hJSktM", 5)[:76] + "\r\n"
	return []byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\nContent-Type: application/pdf\r\n" +
		"Content-Transfer-Encoding: base64\r\n\r\n" + strings.Repeat(line, size/len(line)) + "--b--\r\n")
}

func BenchmarkParse(b *testing.B) {
	for name, raw := range map[string][]byte{"typical": typical(), "attachment": attachment(10 << 20)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				parseBytes(raw)
			}
		})
	}
}

func BenchmarkMarshal(b *testing.B) {
	s := parseBytes(typical())
	b.ReportAllocs()
	for b.Loop() {
		s.Marshal()
	}
}

func BenchmarkUnmarshal(b *testing.B) {
	data := parseBytes(typical()).Marshal()
	for name, piece := range map[string]Binary{
		"envelope": {Envelope: data.Envelope}, "header": {Header: data.Header}, "structure": {Structure: data.Structure},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportMetric(float64(len(piece.Envelope)+len(piece.Header)+len(piece.Structure)), "bytes")
			b.ReportAllocs()
			for b.Loop() {
				var s Summary
				if err := s.Unmarshal(piece, true); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for encoding, text := range map[string]string{
		"base64":           strings.Repeat(strings.Repeat("QUJDREVGR0hJSktM", 5)[:76]+"\r\n", 20000),
		"quoted-printable": strings.Repeat("The quick brown f=F6x jumps over the lazy dog, they say=\r\n", 20000),
	} {
		b.Run(encoding, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				r, err := Decode(strings.NewReader(text), encoding)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendFields(b *testing.B) {
	h := parseBytes(typical()).Header
	dst := make([]byte, 0, 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		dst = h.AppendFields(dst[:0], []string{"FROM", "TO", "SUBJECT", "DATE", "MESSAGE-ID"})
	}
}
