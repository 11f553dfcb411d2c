package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftmpc/weft/broker/identity"
)

// The process before may still be ending; one that stays is told of.
func TestNodeWaitsForItsFolder(t *testing.T) {
	dir := t.TempDir()
	first, err := openState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openState(dir); !errors.Is(err, errInUse) {
		t.Error(err)
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if _, err := openStateWithin(t.Context(), dir, lockWait); !errors.Is(err, errInUse) || time.Since(began) != lockWait {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		done := make(chan error)
		go func() {
			s, err := openStateWithin(t.Context(), dir, lockWait)
			if err == nil {
				s.close()
			}
			done <- err
		}()
		synctest.Wait() // it waits
		first.close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Beside a store, or what is left of one, no key is made: the store would be lost for good.
func TestLostKeyIsNotMadeAnew(t *testing.T) {
	for _, name := range []string{"key.check", "jetstream", "streams"} {
		dir := t.TempDir()
		s, err := openState(dir)
		if err != nil {
			t.Fatal(err)
		}
		s.close()
		if name == "jetstream" {
			err = os.Mkdir(filepath.Join(dir, name), 0o700)
		} else {
			err = os.WriteFile(filepath.Join(dir, name), nil, 0o600)
		}
		if err == nil {
			err = os.Remove(filepath.Join(dir, fileStateKey))
		}
		if err != nil {
			t.Fatal(err)
		}
		var h *hinted
		if _, err := openState(dir); err == nil || !strings.Contains(err.Error(), "state.key is missing") || !errors.As(err, &h) || !strings.Contains(h.hint, "restore it") {
			t.Errorf("beside %s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, fileStateKey)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("beside %s a key was made: %v", name, err)
		}
	}
}

// What others could change is refused, with the command that mends it.
func TestStateFolderOfOthers(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // no owners and mode bits there
	}
	for _, c := range []struct {
		folder, key fs.FileMode
		want        string
	}{
		{0o700, 0o600, ""}, {0o750, 0o640, ""}, {0o755, 0o400, ""},
		{0o770, 0o600, "can be changed by others (mode 0770)"}, {0o707, 0o600, "can be changed by others"}, {0o702, 0o600, "can be changed by others"},
		{0o700, 0o604, "state.key can be read or changed by others (mode 0604)"}, {0o700, 0o660, "state.key can be read or changed by others"},
	} {
		dir := t.TempDir()
		s, err := openState(dir)
		if err != nil {
			t.Fatal(err)
		}
		s.close()
		if err := errors.Join(os.Chmod(filepath.Join(dir, fileStateKey), c.key), os.Chmod(dir, c.folder)); err != nil {
			t.Fatal(err)
		}
		s, err = openState(dir)
		if err == nil {
			s.close()
		}
		var h *hinted
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !errors.As(err, &h) || !strings.HasPrefix(h.hint, "chmod ")) {
			t.Errorf("folder %04o, key %04o: %v", c.folder, c.key, err)
		}
	}
	dir := t.TempDir()
	var h *hinted
	if err := checkFolder(dir, os.Geteuid()+1); err == nil || !strings.Contains(err.Error(), "belongs to the user") || !errors.As(err, &h) || !strings.Contains(h.hint, "chown -R") {
		t.Errorf("another user's: %v", err)
	}
	if os.Geteuid() == 0 { // only root can give a folder away
		if err := os.Chown(dir, 12345, -1); err != nil {
			t.Fatal(err)
		}
		if _, err := openState(dir); err == nil || !strings.Contains(err.Error(), "belongs to the user with number 12345") {
			t.Errorf("another user's: %v", err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("another user's folder has %v %v", left, err)
		}
	}
}

// A configuration that everybody can change says nothing about whom to believe.
func TestConfigOfOthers(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // no mode bits there
	}
	path := write(t, "ca: a\n")
	for mode, refused := range map[fs.FileMode]bool{0o644: false, 0o664: false, 0o666: true, 0o602: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		c := defaultNode()
		var h *hinted
		if err := loadConfig(path, &c, nil); (err != nil) != refused || err != nil && (!errors.As(err, &h) || !strings.Contains(h.hint, "chmod 644 "+path)) {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
}

// snapshot is all of a folder that a visit could change.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		var b []byte
		if info.Mode().IsRegular() {
			b, err = os.ReadFile(path)
		}
		fmt.Fprintf(&all, "%s %s %s %q\n", path, info.Mode(), info.ModTime(), b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// visit is what the doctor finds about the state folder, and what it does to it: nothing.
func visit(t *testing.T, dir string, euid int) finding {
	t.Helper()
	var all []finding
	before := snapshot(t, filepath.Dir(dir))
	d := &doctor{file: "node.yaml", euid: euid, config: nodeConfig{State: dir}, tell: func(f finding) { all = append(all, f) }}
	d.store()
	if after := snapshot(t, filepath.Dir(dir)); after != before {
		t.Errorf("the doctor has changed something:\n%s\nwas:\n%s", after, before)
	}
	if len(all) == 0 {
		t.Fatal("nothing is told")
	}
	return all[len(all)-1]
}

func TestDoctorChangesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	key := filepath.Join(dir, fileStateKey)
	o := newOffice(t)
	o.issue("alice")
	id, err := identity.LoadIdentity(o.path("alice", "identity.crt"), o.path("alice", "identity.key"))
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	runs := func(while func()) {
		t.Helper()
		s, err := openState(dir)
		must(err)
		defer s.close()
		p := &party{stop: func() {}, failed: make(chan struct{})}
		must(p.openStores(t.Context(), partyConfig{state: s, identity: id, logger: slog.New(slog.DiscardHandler)}))
		while()
		must(p.close())
	}
	var kept []byte
	for _, step := range []struct {
		name         string
		do           func()
		euid         int
		status, want string
	}{
		{"no folder", func() {}, os.Geteuid(), "ok", "is made when the node first starts"},
		{"an empty folder", func() { must(os.Mkdir(dir, 0o700)) }, os.Geteuid(), "warning", "holds no store yet"},
		{"another user's", func() {}, os.Geteuid() + 1, "error", "belongs to the user"},
		{"a new store", func() { runs(func() {}) }, os.Geteuid(), "ok", "its key is the store's"},
		{"an older one", func() { runs(func() {}) }, os.Geteuid(), "ok", "its key is the store's"},
		{"others may change it", func() { must(os.Chmod(dir, 0o777)) }, os.Geteuid(), "error", "can be changed by others"},
		{"others may read the key", func() { must(errors.Join(os.Chmod(dir, 0o700), os.Chmod(key, 0o644))) }, os.Geteuid(), "error", "can be read or changed"},
		{"another key", func() {
			must(os.Chmod(key, 0o600))
			kept, err = os.ReadFile(key)
			must(err)
			must(os.WriteFile(key, bytes.Repeat([]byte{7}, 32), 0o600))
		}, os.Geteuid(), "error", "encrypted under another key"},
		{"no key", func() { must(os.Remove(key)) }, os.Geteuid(), "error", "state.key is missing"},
		{"a lost stream", func() {
			must(os.WriteFile(key, kept, 0o600))
			must(os.Rename(filepath.Join(dir, "jetstream"), filepath.Join(dir, "moved")))
		}, os.Geteuid(), "error", "cannot be read"},
		{"all back", func() { must(os.Rename(filepath.Join(dir, "moved"), filepath.Join(dir, "jetstream"))) }, os.Geteuid(), "ok", "its key is the store's"},
		{"a file", func() { must(os.RemoveAll(dir)); must(os.WriteFile(dir, nil, 0o600)) }, os.Geteuid(), "error", "is no folder"},
	} {
		if runtime.GOOS == "windows" && (step.euid != os.Geteuid() || strings.HasPrefix(step.name, "others")) {
			continue // no owners and mode bits there
		}
		step.do()
		if f := visit(t, dir, step.euid); f.Status != step.status || !strings.Contains(f.Text, step.want) || f.Status != "ok" && f.Advice == "" {
			t.Errorf("%s: %+v", step.name, f)
		}
		if step.name == "a new store" { // and while a node has it open, in which nobody else may write either
			runs(func() {
				d := &doctor{euid: os.Geteuid(), config: nodeConfig{State: dir}, tell: func(f finding) {
					if f.Status == "error" {
						t.Errorf("beside a node: %+v", f)
					}
				}}
				d.store()
			})
		}
	}
}
