package agent

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/kardianos/service"

	"github.com/popbridge/popbridge/installer"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/supervise"
)

// ManagedByWindows reports whether the service manager of Windows started
// this process. systemd and launchd need nothing but SIGTERM, so under them
// the program runs as it does in a terminal.
func ManagedByWindows() bool { return runtime.GOOS == "windows" && !service.Interactive() }

// BackgroundVariable holds the process that Windows started at log-on, out of sight.
const BackgroundVariable = "POPBRIDGE_BACKGROUND_PID"

// Managed reports whether a service manager started this process and restarts
// it, so that no person sees its errors. Processes that a managed one starts
// inherit the variables, so they are compared.
func Managed() bool {
	return ManagedByWindows() || managedBySystemd() || os.Getenv(BackgroundVariable) == strconv.Itoa(os.Getpid()) ||
		strings.HasPrefix(os.Getenv("XPC_SERVICE_NAME"), installer.LaunchLabel) && os.Getppid() == 1
}

// managedBySystemd goes by systemd.exec(5).
func managedBySystemd() bool { return os.Getenv("SYSTEMD_EXEC_PID") == strconv.Itoa(os.Getpid()) }

// RunService runs the agent for a service manager that speaks to the process,
// until that says stop. run is called with a context that then ends, and with
// what to call once the agent is ready.
func RunService(ctx context.Context, name string, run func(ctx context.Context, ready func()) error) error {
	p := &program{ctx: ctx, run: run}
	s, err := service.New(p, &service.Config{Name: name})
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the service manager cannot be reached", "run `popbridge run` in a terminal to see what is wrong")
	}
	return s.Run()
}

// program is an agent as kardianos/service sees it: Start returns once it is
// ready or has failed, Stop when it has drained.
type program struct {
	ctx  context.Context
	run  func(ctx context.Context, ready func()) error
	task *supervise.Task
	err  error // of run; read after the task is done
}

// Start implements service.Interface.
func (p *program) Start(service.Service) error {
	ready := make(chan struct{})
	group := &supervise.Group{Context: p.ctx}
	p.task = group.Start(func(ctx context.Context) {
		p.err = p.run(ctx, func() { close(ready) })
	})
	select {
	case <-ready:
		return nil
	case <-p.task.Done():
		return p.err
	}
}

// Stop implements service.Interface.
func (p *program) Stop(service.Service) error {
	p.task.Stop()
	return p.err
}
