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

// openFolder checks that path is a folder that can be read, and that none of the private paths lies in it, nor it in one of
// them: its files can be computed with by everybody who reaches the gateway. Private paths need not exist yet; empty ones
// stand for nothing.
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
		if p == "" {
			continue
		}
		to, err := resolve(p)
		if err != nil {
			return nil, err
		}
		if within(f.path, to) {
			return nil, withHint(fmt.Errorf("%s lies in it, which nobody may compute with", p), "give the files of data a folder of their own")
		}
		if within(to, f.path) {
			return nil, withHint(fmt.Errorf("it lies in %s, which nobody may compute with", p), "give the files of data a folder of their own")
		}
	}
	return f, nil
}

// within says whether path is folder or lies in it; both are absolute, without symbolic links.
func within(folder, path string) bool {
	in, err := filepath.Rel(folder, path)
	return err == nil && filepath.IsLocal(in)
}

// resolve is path without symbolic links, where nothing needs to be there yet: a folder of state is made by the first start.
// What is there of the path is followed, a link that leads to nothing included; the rest is what it will be called.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	const mostLinks = 40 // as many as Linux follows
	rest := ""
	for links := 0; ; {
		real, err := filepath.EvalSymlinks(path)
		if err == nil {
			return filepath.Join(real, rest), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		to, err := os.Readlink(path)
		switch {
		case err != nil: // no link: it, or what is above, is missing
			if filepath.Dir(path) == path {
				return "", err
			}
			path, rest = filepath.Dir(path), filepath.Join(filepath.Base(path), rest)
		case links == mostLinks:
			return "", fmt.Errorf("%s: too many symbolic links", path)
		case filepath.IsAbs(to):
			path, links = to, links+1
		default: // relative to where the link really is
			above, err := filepath.EvalSymlinks(filepath.Dir(path))
			if err != nil {
				return "", err
			}
			path, links = filepath.Join(above, to), links+1
		}
	}
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
