package api

import (
	"slices"

	"github.com/popbridge/popbridge/agent/operations"
)

// PageRoutes are those that only the web page has.
func PageRoutes(p operations.Page) []Route {
	return slices.Concat(editingRoutes(p), clientfilesRoutes(p), recordsRoutes(p))
}
