package cli

import (
	"context"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/installer/clientfiles"
)

// mailbox is what mail clients are told of one login, see operations.FindLogin.
func (a *app) mailbox(ctx context.Context, user, device string, here bool) (m clientfiles.Mailbox, err error) {
	cfg, err := a.loadConfig()
	if err != nil {
		return m, err
	}
	var login operations.Login
	err = a.with(ctx, func(ops operations.Operations) error {
		login, err = operations.FindLogin(ctx, ops, cfg, operations.LoginQuery{User: user, Device: device, Here: here, Command: a.command})
		return err
	})
	if err != nil {
		return m, err
	}
	return login.Mailbox(ctx, cfg)
}
