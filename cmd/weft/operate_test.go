package main

import (
	"errors"
	"strings"
	"testing"
)

// What /readyz tells everybody has neither folders nor addresses.
func TestStrangersHearNoPaths(t *testing.T) {
	err := untold(errors.New("the gateway has stopped: accept tcp 10.1.2.3:55501"), errors.New("3 MiB are free on the disk of /var/lib/weft"))
	if err == nil || strings.Contains(err.Error(), "/var") || strings.Contains(err.Error(), "10.1") || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("%v", err)
	}
	if err := untold(nil, nil); err != nil {
		t.Error(err)
	}
}
