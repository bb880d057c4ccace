package cli

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/popbridge/popbridge/installer/clientfiles"
)

// qrCode returns text as a QR code for a terminal: lines of half blocks, two modules
// in each. Every line sets black on white and resets it, so that a camera sees the
// same on dark and light terminals; print it with printQR, as a.stdout makes escapes
// visible. See clientfiles.QRCode for what fits.
func qrCode(text string) (string, error) {
	code, err := clientfiles.QRCode(text)
	if err != nil {
		return "", err
	}
	const quietZone = clientfiles.QuietZone
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
