package config

import "net"

// readWeb reads where the web page is served: one address, by number, since a browser may
// take localhost for another one than a program that listens there does.
func readWeb(t *table) Web {
	t.unknown()
	return Web{Listen: text(t, "listen", "127.0.0.1:1180", `an address in quotes, such as "127.0.0.1:1180", or "off"`, func(s string) (string, *mistake) {
		if s == "off" {
			return "", nil
		}
		addr, m := readListen(s)
		if m != nil {
			if host, _, err := net.SplitHostPort(s); err == nil && !isLoopback(host) {
				m = &mistake{m.text, `the web page is for this machine only: listen = "127.0.0.1:1180"`}
			}
			return "", m
		}
		host, port, _ := net.SplitHostPort(addr)
		switch host {
		case "localhost":
			host = "127.0.0.1"
		case "127.0.0.1", "::1":
		default: // what a browser is served by
			return "", &mistake{quote(s) + " is not 127.0.0.1 or [::1]", `write listen = "127.0.0.1:1180"`}
		}
		return net.JoinHostPort(host, port), nil
	})}
}
