//go:build !linux

package test

import (
	"errors"
	"testing"
	"time"
)

func longLines(testing.TB, time.Duration, float64, uint64, string) (o rackOptions, counts func() string, err error) {
	return o, nil, errors.New("only Linux has network namespaces")
}
