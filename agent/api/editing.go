package api

import "github.com/popbridge/popbridge/agent/operations"

func editingRoutes(operations.Editing) []Route { return nil }
