package cli

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rsc.io/qr"

	"github.com/popbridge/popbridge/installer/clientfiles"
	"github.com/popbridge/popbridge/installer/discover"
	"github.com/popbridge/popbridge/test/rig"
)

// qrTexts are of several sizes.
var qrTexts = []string{"1", "https://192.168.1.2:8443/pair#" + strings.Repeat("abcd-", 4), strings.Repeat(`["j\u00f6rg & co"]`, 40)}

// drawnModules reads a QR code back from its blocks: true is black.
func drawnModules(t *testing.T, drawn string) [][]bool {
	t.Helper()
	var rows [][]bool
	for line := range strings.Lines(drawn) {
		line, begins := strings.CutPrefix(line, "\x1b[30;107m")
		line, ends := strings.CutSuffix(line, "\x1b[0m\n")
		if !begins || !ends {
			t.Fatalf("a line without its colours: %q", line)
		}
		var upper, lower []bool
		for _, r := range line {
			if !strings.ContainsRune(" ▀▄█", r) {
				t.Fatalf("%q in a QR code", r)
			}
			upper, lower = append(upper, r == '▀' || r == '█'), append(lower, r == '▄' || r == '█')
		}
		rows = append(rows, upper, lower)
	}
	return rows
}

func TestQRCodeDrawsEveryModule(t *testing.T) {
	for _, text := range qrTexts {
		drawn, err := qrCode(text)
		if err != nil {
			t.Fatal(err)
		}
		code, err := qr.Encode(text, qr.L)
		if err != nil {
			t.Fatal(err)
		}
		rows := drawnModules(t, drawn)
		if want := code.Size + 2*clientfiles.QuietZone; len(rows) < want || len(rows[0]) != want {
			t.Fatalf("%d rows of %d modules, want %d", len(rows), len(rows[0]), want)
		}
		for y := range rows {
			for x := range rows[y] {
				if got, want := rows[y][x], code.Black(x-clientfiles.QuietZone, y-clientfiles.QuietZone); got != want {
					t.Fatalf("module %d,%d is %t, want %t", x, y, got, want)
				}
			}
		}
	}
	for _, text := range []string{strings.Repeat("x", 3000), "jörg"} {
		if _, err := qrCode(text); err == nil {
			t.Errorf("%.10q… of %d bytes is drawn", text, len(text))
		}
	}
}

// Where a phone can reach the server there is a code for it, else it is said why not.
func TestQRCodeForAPhone(t *testing.T) {
	m := clientfiles.Mailbox{User: "ann", Host: "192.168.1.2", Port: 1143, TLS: discover.StartTLS, Identities: []clientfiles.Identity{
		{Address: "ann@gmx.de", SMTP: discover.Server{Host: "mail.gmx.net", Port: 465, TLS: discover.Implicit, Username: "ann@gmx.de"}}}}
	text, err := m.AndroidQR()
	if err != nil {
		t.Fatal(err)
	}
	want, err := qrCode(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change     func(*clientfiles.Mailbox)
		said, code string
	}{
		{func(*clientfiles.Mailbox) {}, "Scan QR code", want},
		{func(m *clientfiles.Mailbox) { m.Host = "127.0.0.1" }, "A phone cannot reach 127.0.0.1; in your network, where the config has [lan]: ", ""},
		{func(m *clientfiles.Mailbox) { m.Identities = nil }, "there is no QR code for Android", ""},
	} {
		var out, errs bytes.Buffer
		m := m
		c.change(&m)
		newApp(nil, &out, &errs).printClientValues(m)
		if !strings.Contains(out.String(), c.said) || errs.String() != c.code {
			t.Errorf("%+v: it prints %s and %s", m, out.String(), errs.String())
		}
	}
}

// What is drawn can be read by a camera's program.
func TestQRCodeIsReadByZbar(t *testing.T) {
	rig.Need(t, "zbarimg")
	for _, text := range qrTexts {
		drawn, err := qrCode(text)
		if err != nil {
			t.Fatal(err)
		}
		const scale = 6 // pixels a module
		rows := drawnModules(t, drawn)
		picture := image.NewGray(image.Rect(0, 0, len(rows[0])*scale, len(rows)*scale))
		for y := range picture.Rect.Dy() {
			for x := range picture.Rect.Dx() {
				if !rows[y/scale][x/scale] {
					picture.SetGray(x, y, color.Gray{Y: 255})
				}
			}
		}
		var raw bytes.Buffer
		if err := png.Encode(&raw, picture); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "qr.png")
		if err := os.WriteFile(file, raw.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		cmd := exec.Command("zbarimg", "--quiet", "--raw", "--nodbus", file)
		cmd.Stderr = &stderr
		got, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %s", err, stderr.String())
		}
		if string(got) != text+"\n" {
			t.Errorf("zbarimg reads %q, want %q", got, text)
		}
	}
}
