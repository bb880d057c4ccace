package web

import (
	"bufio"
	"encoding/hex"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// peerUID is the number of the user whose program has made the connection, "" where the
// kernel does not tell: its net/tcp and tcp6 list both ends of a loopback connection,
// each with the owner of its socket (proc(5)).
func peerUID(c net.Conn) string {
	here, err := netip.ParseAddrPort(c.LocalAddr().String())
	there, peerErr := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil || peerErr != nil {
		return ""
	}
	for range 3 { // a row may be passed over where others come and go meanwhile
		for _, file := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
			if uid := owner(file, there, here); uid != "" {
				return uid
			}
		}
	}
	return ""
}

const established = "01" // one that its program has closed has no owner any more, and says 0

// owner finds the socket of a program whose own address is local.
func owner(file string, local, remote netip.AddrPort) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// sl local_address rem_address st queues timer retransmits uid
		if fields := strings.Fields(lines.Text()); len(fields) > 7 && fields[3] == established && parseAddress(fields[1]) == local && parseAddress(fields[2]) == remote {
			return fields[7]
		}
	}
	return ""
}

// parseAddress reads ADDRESS:PORT in hexadecimal, the address in words of 32 bits of a
// little-endian machine.
func parseAddress(text string) (none netip.AddrPort) {
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	p, portErr := hex.DecodeString(port)
	if err != nil || portErr != nil || len(raw)%4 != 0 || len(p) != 2 {
		return none
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	addr, ok := netip.AddrFromSlice(raw)
	if !ok {
		return none
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(p[0])<<8|uint16(p[1]))
}
