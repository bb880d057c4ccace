// Package archtest has no code, only tests: they read the imports of the whole
// tree and hold the dependency rules of docs/ARCHITECTURE.md, so that they hold
// without a linter.
package archtest
