package api

import "github.com/popbridge/popbridge/agent/operations"

func clientfilesRoutes(operations.ClientFiles) []Route { return nil }
