package samplemail

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"
)

// floorPlan is a message of about 5 MB: a picture as a scanner makes them. It
// is drawn rather than kept, so that the program does not grow by it.
func floorPlan(now time.Time) sample {
	at := now.Add(-62 * time.Hour)
	var b bytes.Buffer
	fmt.Fprintf(&b, `Received: from mail.example.net by pop.example.com with ESMTPS; %[1]s
From: Tomas Mora <tomas@example.com>
To: Ann Lindqvist <ann@example.com>
Subject: Floor plan of the new studio (large)
Date: %[1]s
Message-ID: <floor-plan@example.net>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="floor-plan-1"

--floor-plan-1
Content-Type: text/plain; charset=us-ascii

The floor plan, as the scanner made it. Sorry for the size.

--floor-plan-1
Content-Type: image/bmp; name="floor-plan.bmp"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="floor-plan.bmp"

`, at.Format(time.RFC1123Z))
	encoded := base64.StdEncoding.EncodeToString(bitmap(1280, 1000))
	for len(encoded) > 0 {
		n := min(76, len(encoded))
		b.WriteString(encoded[:n])
		b.WriteByte('\n')
		encoded = encoded[n:]
	}
	b.WriteString("--floor-plan-1--\n")
	return sample{"floor-plan", at, crlf(b.Bytes())}
}

// bitmap draws rooms on squared paper, as a Windows bitmap of 24 bits. The
// width must be a multiple of 4.
func bitmap(width, height int) []byte {
	const header = 54
	size := header + 3*width*height
	b := make([]byte, 0, size)
	b = append(b, "BM"...)
	for _, v := range []uint32{uint32(size), 0, header, 40, uint32(width), uint32(height), 1 | 24<<16, 0, 0, 2835, 2835, 0, 0} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	for y := range height {
		for x := range width {
			switch {
			case x%320 < 6 || y%250 < 6: // walls
				b = append(b, 60, 50, 40)
			case x%40 == 0 || y%40 == 0:
				b = append(b, 230, 215, 200)
			default:
				b = append(b, 250-byte(x/64), 250-byte(y/64), 245)
			}
		}
	}
	return b
}
