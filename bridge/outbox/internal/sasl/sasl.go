// Package sasl has the shapes of internal/sasl that the runner needs.
package sasl

// Credentials are what a login needs.
type Credentials struct{ Username, Secret string }
