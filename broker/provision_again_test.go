package broker_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weftmpc/weft/broker/brokertest"
)

// TestProvisionLeavesStreamsAlone: a store that is as it should be is opened without writing any stream's description anew,
// in the middle of which a process could be killed.
func TestProvisionLeavesStreamsAlone(t *testing.T) {
	p := brokertest.Private(t)
	written := func() map[string]time.Time {
		all := map[string]time.Time{}
		err := filepath.WalkDir(p.Config.StoreDir, func(path string, d os.DirEntry, err error) error {
			if err != nil || !strings.HasPrefix(d.Name(), "meta.") || filepath.Base(filepath.Dir(filepath.Dir(path))) != "streams" {
				return err
			}
			info, err := d.Info()
			if err == nil {
				all[path] = info.ModTime()
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	first := written()
	if len(first) < 8 { // a description and its checksum of each of four streams
		t.Fatalf("%d files: %v", len(first), first)
	}
	p.Restart(t)
	if second := written(); !maps.Equal(first, second) {
		t.Errorf("written anew:\n%v\n%v", first, second)
	}
}
