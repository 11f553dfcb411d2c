package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/weftmpc/weft/broker"
)

// folder is where the files lie that a party's own people compute with by name.
type folder struct{ path string } // absolute, without symbolic links

// openFolder checks that path is a folder that can be read, and that none of the private paths lies in it: its files can be
// computed with by everybody who reaches the gateway.
func openFolder(path string, private ...string) (*folder, error) {
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(real)
	if err != nil {
		return nil, err
	}
	if err := root.Close(); err != nil {
		return nil, err
	}
	f := &folder{real}
	for _, p := range private {
		if _, in := f.name(p); in {
			return nil, withHint(fmt.Errorf("%s lies in it, which nobody may compute with", p), "give the files of data a folder of their own")
		}
	}
	return f, nil
}

// Folder implements gateway.Files.
func (f *folder) Folder() string { return f.path }

// Open implements gateway.Files. It opens the folder anew each time, because what is mounted there may have changed. The
// system keeps symbolic links and .. from leading out of it.
func (f *folder) Open(name string) (io.ReadCloser, error) {
	local, err := filepath.Localize(name)
	if err != nil {
		return nil, fs.ErrInvalid
	}
	root, err := os.OpenRoot(f.path)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	file, err := root.OpenFile(local, os.O_RDONLY|openAtOnce, 0)
	if err != nil {
		return nil, openError(err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrInvalid
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// openError tells a name that leads nowhere from a machine that cannot open files at present.
func openError(err error) error {
	var number syscall.Errno
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return err
	case errors.As(err, &number) && (number == syscall.EMFILE || number == syscall.ENFILE || number == syscall.EIO || number == syscall.ENOMEM):
		return err
	}
	return fs.ErrInvalid
}

// name is how the gateway calls a file, if that is a file in the folder.
func (f *folder) name(path string) (name string, in bool) {
	path, err := filepath.Abs(path)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", false
	}
	name, err = filepath.Rel(f.path, path)
	if err != nil || !filepath.IsLocal(name) {
		return "", false
	}
	return filepath.ToSlash(name), true
}

// nodeFile is the name by which the node knows the file that data names, "" where the node does not see it. Only a gateway
// on this machine is believed: another machine may have another file under the same name.
func (c *client) nodeFile(ctx context.Context, data string) string {
	path, isFile := strings.CutPrefix(data, "@")
	if u, err := url.Parse(c.base); !isFile || err != nil || !broker.IsLoopback(u.Hostname()) {
		return ""
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return "" // whoever opens it tells why
	}
	raw, err := c.do(ctx, http.MethodGet, "/v1/parties", nil, answerTime)
	var answer struct{ Files string }
	if err != nil || json.Unmarshal(raw, &answer) != nil || !filepath.IsAbs(answer.Files) {
		return "" // whoever submits the job tells what is wrong with the gateway
	}
	name, _ := (&folder{answer.Files}).name(path)
	return name
}

// elsewhere says whether the node sees no file, or may not read it, where this process perhaps can.
func elsewhere(err error) bool {
	var no *refusal
	return errors.As(err, &no) && (no.Reason == "unknown-file" || no.Reason == "unreadable-file")
}
