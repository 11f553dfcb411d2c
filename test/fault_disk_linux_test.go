package test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// The disk under one node's state folder fills up. What has begun comes to its end; nothing new is accepted, and the caller,
// the node's log, its readiness and its doctor say why; the others are told who is missing. When there is room again the node
// computes, without a restart.
func TestFaultDiskFull(t *testing.T) {
	t.Parallel()
	r := prepareRack(t, rackOptions{})
	disk := newSmallDisk(t, r.path("carol", "state"))
	t.Cleanup(r.procs["carol"].kill) // before the disk goes
	r.start()
	r.wantSum(r.sumAll("1", "2", "3"), "6")
	begun := r.sum(5 * time.Minute)
	jobs := r.give(begun, "carol")
	r.comesTo("carol", jobs["carol"].ID, "waiting", "alice", "bob")

	disk.fill(40 << 20) // what is left is less than a node keeps in reserve
	for party, j := range r.give(begun, "alice", "bob") {
		jobs[party] = j
	}
	r.wantSum(r.ended(jobs), "6")

	k := r.sum(2 * time.Second)
	var refused *statusError
	if _, err := r.post(t.Context(), "carol", k); !errors.As(err, &refused) || refused.status != 507 {
		t.Errorf("carol's gateway answers %v, want 507", err)
	} else {
		wantWords(t, "carol's gateway", refused.body, "no disk space left", "nothing was stored", "make room")
	}
	wantError(t, "alice", r.ended(r.give(k, "alice"))["alice"], "not-joined", "bob, carol did not join")
	if r.isReady("carol") {
		t.Error("carol is ready")
	}
	code, findings := r.doctor("carol")
	if code != 1 {
		t.Errorf("weft doctor ended with code %d", code)
	}
	r.wantFinding(findings, "store", "error", "MiB are free", "make room")
	r.procs["carol"].says("the disk is nearly full")

	disk.fill(1 << 30) // to the last byte, by others
	if _, err := r.post(t.Context(), "carol", k); !errors.As(err, &refused) || refused.status != 507 {
		t.Errorf("carol's gateway answers %v, want 507", err)
	}
	disk.empty()
	r.ready("carol")
	r.wantSum(r.sumAll("1", "2", "4"), "7")
}

// The disk is full to the last byte in the middle of a computation, so that the store meets an error. The node does not hang:
// it ends and says what to do, the others' jobs end, and it goes on when it is started with room.
func TestFaultDiskFullMeanwhile(t *testing.T) {
	t.Parallel()
	r := prepareRack(t, rackOptions{})
	disk := newSmallDisk(t, r.path("carol", "state"))
	t.Cleanup(r.procs["carol"].kill)
	r.start()
	r.wantSum(r.sumAll("1", "2", "3"), "6")
	var tasks []task
	var all []map[string]jobReport
	for i := range 8 { // more than what is left of a block that a file has already
		k := r.sum(12 * time.Second)
		k.roundMS, k.limitMS = 2000, 10_000
		tasks = append(tasks, k)
		all = append(all, r.give(tasks[i], "carol"))
		r.comesTo("carol", all[i]["carol"].ID, "waiting", "alice", "bob")
	}
	disk.fill(1 << 30)
	for i, k := range tasks {
		for party, j := range r.give(k, "alice", "bob") {
			all[i][party] = j
		}
	}
	if code := r.procs["carol"].code(); code != 1 {
		t.Errorf("carol ended with code %d", code)
	}
	wantWords(t, "carol", r.procs["carol"].life(), "no space left", "make room on the disk", "start again")
	disk.empty()
	r.procs["carol"].start()
	r.ready("carol")
	for _, jobs := range all {
		for party, j := range r.ended(jobs) {
			if j.State == "failed" && j.Error == nil || j.State == "done" && j.Result.Sum != "6" {
				t.Errorf("%s: %s %+v %v", party, j.State, j.Result, j.Error)
			}
		}
	}
	r.wantSum(r.sumAll("1", "2", "4"), "7")
}

// smallDisk is a file system of its own that other files can fill.
type smallDisk struct {
	t       testing.TB
	ballast string
}

// newSmallDisk mounts 288 MiB at a folder; the memory is taken as it is filled. It needs the right to mount, as root has it.
func newSmallDisk(t testing.TB, dir string) smallDisk {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=288m,mode=0700"); err != nil {
		t.Fatalf("mounting a small disk: %v: run this test as root, or under unshare --map-root-user --mount", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) })
	return smallDisk{t, filepath.Join(dir, "ballast")}
}

// fill takes n bytes more, or all that there are.
func (d smallDisk) fill(n int) {
	d.t.Helper()
	f, err := os.OpenFile(d.ballast, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	must(d.t, err)
	defer f.Close()
	for block := make([]byte, 1<<16); n > 0; n -= len(block) {
		if _, err := f.Write(block); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				d.t.Fatal(err)
			}
			return
		}
	}
}

func (d smallDisk) empty() { must(d.t, os.Remove(d.ballast)) }
