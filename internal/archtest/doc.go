// Package archtest has no code, only tests: they read the imports of the whole
// tree and hold the arrows of docs/ARCHITECTURE.md, so that the arrows hold
// without a linter.
package archtest
