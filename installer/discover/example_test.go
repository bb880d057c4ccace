package discover_test

import (
	"context"
	"fmt"

	"github.com/popbridge/popbridge/installer/discover"
	"github.com/popbridge/popbridge/internal/fault"
)

// show asks for the servers of an address as an interactive command does.
func show(address string) {
	found, err := discover.Discover(context.Background(), address, discover.Options{Progress: func(s discover.Step) {
		if s.Answer == "" {
			return // a terminal shows what is being asked, and writes over it
		}
		fmt.Printf("  %s: %s\n", s.Asked, s.Answer)
	}})
	if err != nil {
		fmt.Printf("error: %v\nhint: %s\n", err, fault.Hint(err))
		return
	}
	fmt.Printf("Provider:  %s\n", found.Provider)
	fmt.Printf("Receiving: %s, user name %s\n", found.POP, found.POP.Username)
	fmt.Printf("Sending:   %s, user name %s\n", found.SMTP, found.SMTP.Username)
	fmt.Printf("Known from %s\n", found.Source.Detail)
	for _, line := range found.Advice.Lines() {
		fmt.Printf("- %s\n", line)
	}
	for _, question := range found.Confirm() {
		fmt.Printf("Go on? %s\n", question)
	}
}

func Example() {
	show("Ann@WEB.DE")
	show("ann@icloud.com")
	show("ann.example.com")
	// Output:
	//   the built-in table of providers: WEB.DE Freemail: pop3.web.de:995 (TLS)
	// Provider:  WEB.DE Freemail
	// Receiving: pop3.web.de:995 (TLS), user name Ann
	// Sending:   smtp.web.de:465 (TLS), user name Ann
	// Known from ISPDB web.de.xml, 2024-02-29
	// - switch on POP3 in the settings of the mailbox: https://hilfe.web.de/pop-imap/einschalten.html
	// - with two-factor login use an app password, which is made in the settings of the mailbox
	// - poll at most every 15 minutes
	// - A login more often than every 15 minutes is refused.
	// - help: https://hilfe.web.de/pop-imap/imap/imap-serverdaten.html
	//   the built-in table of providers: iCloud Mail has no POP3
	// error: iCloud Mail has no POP3, so its mail cannot be fetched
	// hint: Apple offers IMAP only. If you know of a POP3 server all the same, name it
	// error: "ann.example.com" is not a mail address: there is no @ in it
	// hint: give the address as it stands in a mail, for example ann@example.com
}
