package rig

import (
	"fmt"
	"net/http"
)

// Autoconfig is the web server of autoconfig.example.com: mail is fetched from
// pop.example.com at a port, with TLS and the part of the address before the @ as the
// user name.
func Autoconfig(port int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		_, _ = fmt.Fprintf(w, autoconfig, port) // a client that went away has what it wants
	})
}

const autoconfig = `<?xml version="1.0"?>
<clientConfig version="1.1"><emailProvider id="example.com"><domain>example.com</domain><displayName>Example</displayName>
<incomingServer type="pop3"><hostname>pop.example.com</hostname><port>%d</port><socketType>SSL</socketType>
<username>%%EMAILLOCALPART%%</username><authentication>password-cleartext</authentication></incomingServer>
<outgoingServer type="smtp"><hostname>smtp.example.com</hostname><port>465</port><socketType>SSL</socketType>
<username>%%EMAILADDRESS%%</username><authentication>password-cleartext</authentication></outgoingServer>
</emailProvider></clientConfig>`
