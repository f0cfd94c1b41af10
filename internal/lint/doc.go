// Package lint holds the rules of this module that are tests: which package may import which, what a pure package may
// not do, and what the house style asks for. go test ./internal/lint checks the whole module; every complaint says what
// to do instead.
package lint
