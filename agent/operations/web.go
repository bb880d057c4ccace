package operations

import (
	"context"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// Web is about the web page.
type Web interface {
	// OpenWeb makes an address that signs a browser in, once and within a minute.
	OpenWeb(ctx context.Context, ask OpenWeb) (WebAddress, error)
	// WebSessions lists the browsers that are signed in.
	WebSessions(ctx context.Context) ([]WebSession, error)
	// EndWebSession signs a browser out, all of them for no ID.
	EndWebSession(ctx context.Context, ask WebSession) (Ended, error)
}

// OpenWeb asks for the web page.
type OpenWeb struct {
	// UID is the number of the user whose browser may open it; "" where users have none.
	UID string `json:"uid"`
}

// WebAddress is where a browser is signed in.
type WebAddress struct {
	URL string `json:"url"`
}

// WebSession is a browser that is signed in.
type WebSession struct {
	ID      string    `json:"id"`
	Browser string    `json:"browser"` // program and system
	Begun   time.Time `json:"begun"`
	Used    time.Time `json:"used"` // within an hour
	Ends    time.Time `json:"ends"` // at the latest
	Open    int       `json:"open"` // pages that are open now
}

// Ended tells how many browsers were signed out.
type Ended struct {
	Sessions int `json:"sessions"`
}

func (l *Local) OpenWeb(_ context.Context, ask OpenWeb) (a WebAddress, err error) {
	if !l.running() {
		return a, fault.New(fault.Temporary, "no agent is running, so there is no web page", "start it: "+l.users.Command("run"))
	}
	a.URL, err = l.pages.Open(ask.UID)
	return a, err
}

func (l *Local) WebSessions(context.Context) ([]WebSession, error) { return l.pages.Sessions(), nil }

func (l *Local) EndWebSession(_ context.Context, ask WebSession) (Ended, error) {
	n, err := l.pages.End(ask.ID)
	if err != nil {
		return Ended{n}, err
	}
	if n == 0 && ask.ID != "" {
		return Ended{}, fault.New(fault.NotFound, "there is no browser "+fault.Quote(ask.ID)+" signed in", "`"+l.users.Command("open --sessions")+"` lists them")
	}
	return Ended{n}, nil
}
