package operations

import (
	"context"

	"github.com/popbridge/popbridge/internal/fault"
)

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
