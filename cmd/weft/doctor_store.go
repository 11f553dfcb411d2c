package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/weftmpc/weft/broker"
)

const restoreStore = "bring back the folder as it was from a backup, or use a new one: open computations are lost, results too"

// store looks at the state folder. It makes nothing there, opens nothing for writing and takes no lock: what the doctor made
// would be in the way of the node, which may be another user's, may not have its disk yet, or may start at this moment.
func (d *doctor) store() {
	dir := d.config.State
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		d.noStore(dir)
		return
	}
	if err := checkFolder(dir, d.euid); err != nil {
		d.wrong("store", advice(err, "change `state` in "+d.file), "%v", err)
		return
	}
	if err := writable(dir); err != nil {
		d.wrong("store", "chmod 700 "+dir+"; if its disk is mounted read-only, see to that", "the state folder %s cannot be written: %v", dir, err)
		return
	}
	if free, ok := freeSpace(dir); ok && free < spaceReserve {
		d.wrong("store", "make room: the node accepts and computes nothing until there is some", "%d MiB are free on the disk of %s, and %d are needed", free>>20, dir, spaceReserve>>20)
	} else if ok && free < spaceWarning {
		d.warn("store", "make room: a full disk stops computations until there is some", "%d MiB are free on the disk of %s", free>>20, dir)
	}
	key, err := loadKey(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.warn("store", "if this node has run before, its disk is not mounted or `state` in "+d.file+" names another folder: see to that before it starts",
			"%s holds no store yet; the node makes one when it first starts", dir)
		return
	case err != nil:
		d.wrong("store", advice(err, restoreStore), "%v", err)
		return
	}
	defer clear(key)
	s := &stateFolder{dir: dir, key: key}
	if err := broker.CheckStore(dir, s.derive("jetstream")); err != nil {
		d.wrong("store", restoreStore, "%v", err)
		return
	}
	d.ok("store", "%s can be written, and its key is the store's", dir)
}

// noStore is about a folder that is yet to be made.
func (d *doctor) noStore(dir string) {
	parent := filepath.Dir(dir)
	_, err := os.Stat(parent)
	if err == nil {
		err = writable(parent)
	}
	if err != nil {
		d.wrong("store", "make the folder above it, or change `state` in "+d.file, "the state folder %s cannot be made: %s: %v", dir, parent, err)
		return
	}
	d.ok("store", "%s is made when the node first starts", dir)
}
