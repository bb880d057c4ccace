package api

import "github.com/popbridge/popbridge/agent/operations"

func recordsRoutes(operations.Records) []Route { return nil }
