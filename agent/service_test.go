package agent

import (
	"context"
	"errors"
	"testing"

	"github.com/kardianos/service"
)

func TestServiceManagerStartsAndStops(t *testing.T) {
	broken := errors.New("port is busy")
	running := func(ctx context.Context, ready func()) error {
		ready()
		<-ctx.Done()
		return nil
	}
	var svc service.Service // the adapter does not need it

	p := &program{ctx: t.Context(), run: running}
	if err := p.Start(svc); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(svc); err != nil {
		t.Errorf("stop: %v", err)
	}

	p = &program{ctx: t.Context(), run: func(context.Context, func()) error { return broken }}
	if err := p.Start(svc); !errors.Is(err, broken) {
		t.Errorf("a start that fails: %v", err)
	}
}
