// Package clienttest is what the tests of the clients share. What it has leaves the process as it
// was.
package clienttest
