package cli

import (
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
	"rsc.io/qr"
)

// quietZone is the light border around a QR code, in modules (ISO/IEC 18004
// section 6.3.8).
const quietZone = 4

// qrCode returns text as a QR code for a terminal: lines of half blocks, two modules
// in each. Every line sets black on white and resets it, so that a camera sees the
// same on dark and light terminals; print it with printQR, as a.stdout makes escapes
// visible. At most 2,953 bytes of text fit (version 40, level L: what a screen shows
// has no dirt to correct), and they have to be ASCII, as readers guess the character
// set of anything else: escape it (JSON) or encode it (URL) first.
func qrCode(text string) (string, error) {
	if strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return "", fmt.Errorf("QR code of text that is not ASCII: %q", text)
	}
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return "", fmt.Errorf("QR code of %d bytes: %w", len(text), err)
	}
	var b strings.Builder
	for y := -quietZone; y < code.Size+quietZone; y += 2 {
		b.WriteString("\x1b[30;107m")
		for x := -quietZone; x < code.Size+quietZone; x++ {
			switch upper, lower := code.Black(x, y), code.Black(x, y+1); {
			case upper && lower:
				b.WriteString("█")
			case upper:
				b.WriteString("▀")
			case lower:
				b.WriteString("▄")
			default:
				b.WriteString(" ")
			}
		}
		b.WriteString("\x1b[0m\n")
	}
	return b.String(), nil
}

// printQR shows text as a QR code, unless that goes into a file. It goes to stderr, as
// questions do, so that stdout stays plain text.
func (a *app) printQR(text string) error {
	code, err := qrCode(text)
	f, isFile := a.direct.(*os.File)
	if err == nil && !(isFile && !term.IsTerminal(int(f.Fd()))) {
		_, _ = fmt.Fprint(a.direct, code)
	}
	return err
}
