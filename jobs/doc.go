// Package jobs keeps clients' requests for computations on a party's private JetStream.
package jobs
