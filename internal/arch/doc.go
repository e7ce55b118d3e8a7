// Package arch holds the rules of the tree and has no code of its own: `go test ./internal/arch`
// checks who may import whom, what pure packages may not touch, that every package says what it
// is, and the size limits. The rules are data in layers.txt.
package arch
