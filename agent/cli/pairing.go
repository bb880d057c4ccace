package cli

import (
	"context"

	"github.com/popbridge/popbridge/agent/lan"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
)

// pair asks the running agent for the page that sets a phone up. That there is none is
// no error: the device has its login.
func (a *app) pair(ctx context.Context, cfg *config.Config, d operations.Device) *operations.Pairing {
	var p operations.Pairing
	err := a.with(ctx, func(ops operations.Operations) error {
		page := operations.Pair{User: d.User, Device: d.Name}
		s, err := ops.Status(ctx)
		if err == nil && len(s.LAN.Listen) > 0 { // else it is not worth the look-up
			page.Identities = operations.LANIdentities(ctx, cfg, d, s.LAN)
		}
		p, err = ops.Pair(ctx, page)
		return err
	})
	if err == nil {
		return &p
	}
	a.complain("warning", err.Error())
	if hint := fault.Hint(err); hint != "" {
		a.complain("hint", hint)
	}
	return nil
}

// printPairing says what to do on the phone.
func (a *app) printPairing(p *operations.Pairing) {
	if p == nil {
		return
	}
	a.printf("\nOn the phone, in the same network, open this page within %s:\n  %s\n", lan.PageForWords, p.URL)
	if err := a.printQR(p.URL); err != nil {
		a.complain("warning", err.Error())
	}
	a.printf("The phone warns that it does not know the certificate of the page: it cannot yet. It is the\n"+
		"right one if its details have this SHA-256 fingerprint:\n  %s\n"+
		"The page lets you install an authority. Trust it only if it has this other SHA-256 fingerprint:\n  %s\n"+
		"By hand: IMAP, server %s, port %d, SSL/TLS.\n", p.PageFingerprint, p.Fingerprint, p.Host, p.Port)
	if p.SMTPPort != 0 {
		a.printf("To send: SMTP, the same server, port %d, SSL/TLS, with the same password.\n", p.SMTPPort)
	}
}
