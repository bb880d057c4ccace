package api

import (
	"context"

	"github.com/popbridge/popbridge/agent/operations"
)

func clientfilesRoutes(ops operations.ClientFiles) []Route {
	return []Route{
		plain("GET /devices/choices", func(ctx context.Context, _ struct{}) (operations.DeviceChoices, error) { return ops.DeviceChoices(ctx) }),
		plain("POST /devices/new", ops.NewDevice),
		plain("POST /devices/client", ops.ClientSetup),
		plain("POST /devices/phone", ops.PairPhone),
		plain("GET /storage", func(ctx context.Context, _ struct{}) (operations.Storage, error) { return ops.Storage(ctx) }),
		streamed("POST /backup-again", func(ctx context.Context, _ struct{}, progress func(operations.Progress)) ([]operations.Backup, error) {
			return ops.BackupAgain(ctx, progress)
		}),
	}
}
