package clientfiles

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"rsc.io/qr"
)

// QuietZone is the light border around a QR code, in modules (ISO/IEC 18004
// section 6.3.8).
const QuietZone = 4

// QRCode encodes text. At most 2,953 bytes fit (version 40, level L: what a screen
// shows has no dirt to correct), and they have to be ASCII, as readers guess the
// character set of anything else: escape it (JSON) or encode it (URL) first.
func QRCode(text string) (*qr.Code, error) {
	if strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return nil, fmt.Errorf("QR code of text that is not ASCII: %q", text)
	}
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return nil, fmt.Errorf("QR code of %d bytes: %w", len(text), err)
	}
	return code, nil
}

// A Drawing is a QR code as a path of SVG whose unit is a module: what is filled is
// black. Its quiet zone is part of its size.
type Drawing struct {
	Size int    `json:"size"` // of each side
	Path string `json:"path"`
}

// DrawQR draws text as a QR code, with the limits of QRCode.
func DrawQR(text string) (Drawing, error) {
	code, err := QRCode(text)
	if err != nil {
		return Drawing{}, err
	}
	var b strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			from := x
			for code.Black(x, y) { // none is outside
				x++
			}
			if x > from {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", from+QuietZone, y+QuietZone, x-from, x-from)
			}
		}
	}
	return Drawing{code.Size + 2*QuietZone, b.String()}, nil
}
