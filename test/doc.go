// Package test holds the tests of whole systems: real processes, real brokers, the official client. What one room can
// prove alone stands beside its code.
package test
