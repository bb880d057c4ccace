package api

import (
	"context"

	"github.com/popbridge/popbridge/agent/operations"
)

// recordsRoutes are those of Records but for the log, which a page follows: package web
// has that one among its streams.
func recordsRoutes(r operations.Records) []Route {
	return []Route{
		plain("GET /settings", func(ctx context.Context, _ struct{}) (operations.Settings, error) { return r.Settings(ctx) }),
		plain("PATCH /settings", r.SetSettings),
		plain("GET /about", func(ctx context.Context, _ struct{}) (operations.About, error) { return r.About(ctx) }),
	}
}
