package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/weftmpc/weft/gateway/representation"
	"github.com/weftmpc/weft/gateway/table"
	"github.com/weftmpc/weft/simon"
)

// Files is the folder whose files clients may compute with by name. The gateway reads such a file itself, as a stream, so
// that it neither travels over HTTP nor has to fit into memory. A name goes into no log, no job and no message.
type Files interface {
	// Open opens a regular file by its path below the folder, with slashes. Where the name leads out of the folder or to
	// something else the error is fs.ErrInvalid; fs.ErrNotExist and fs.ErrPermission say what they say.
	Open(name string) (io.ReadCloser, error)
	// Folder is where the folder lies, so that a command on the same machine can tell whether a file is in it.
	Folder() string
}

const (
	filesAtOnce = 4    // that are read at a time, because each may need memory; further ones wait as large bodies do
	mostName    = 1024 // bytes of a file's name
)

// readFileName reads the field file.
func (g *Gateway) readFileName(raw json.RawMessage) (string, error) {
	const field = "file"
	name, ok := representation.Text(raw)
	switch {
	case !ok || name == "":
		return "", invalid(field, `it must be the name of a file, like "ages.csv"`)
	case g.config.Files == nil:
		return "", invalid(field, "this node has no folder of files; send the data, or let its operator name a folder (files, in the gateway's configuration)")
	case len(name) > mostName || !fs.ValidPath(name):
		return "", errFileName
	}
	return name, nil
}

var errFileName = invalid("file", "it must be a file inside this node's folder, named from there, without .. and with / between folders, like 2026/ages.csv")

// prepareFile reads the data from the file that the request names.
func (g *Gateway) prepareFile(ctx context.Context, q request) (simon.Prepared, error) {
	l := &loan{of: g.files, ends: g.draining}
	if err := l.take(ctx, 1); err != nil {
		return simon.Prepared{}, err
	}
	defer l.giveBack()
	f, err := g.config.Files.Open(q.file)
	if err != nil {
		return simon.Prepared{}, fileError(err)
	}
	defer f.Close()
	t, wait := g.refusals.begin(q.caller, g.config.Now())
	if wait > 0 {
		return simon.Prepared{}, tooManyRefused(wait)
	}
	prepared, err := g.readFile(ctx, f, q)
	class := refusalClass(err)
	if class == "" {
		t.passed()
		return prepared, err
	}
	g.log(ctx).Warn("gateway: a file was refused", "caller", q.caller, "microprotocol", q.microprotocol.Name, "reason", class, "lately", t.count())
	return simon.Prepared{}, anywhere(err)
}

// readFile reads the data from an open file.
func (g *Gateway) readFile(ctx context.Context, f io.Reader, q request) (simon.Prepared, error) {
	data, err := table.New(path.Ext(q.file), stoppable{f, func() error {
		if g.draining.Err() != nil {
			return errDraining
		}
		return ctx.Err()
	}})
	if err != nil {
		return simon.Prepared{}, fileError(err)
	}
	prepared, err := g.prepareFrom(ctx, data, q)
	switch {
	case data.Err() != nil: // whatever was made of it
		return simon.Prepared{}, fileError(data.Err())
	case err != nil:
		return simon.Prepared{}, atLine(err, data)
	}
	if err := atEnd(data); err != nil {
		return simon.Prepared{}, fileError(err)
	}
	return prepared, nil
}

// stoppable is data whose reading ends when stopped says why.
type stoppable struct {
	r       io.Reader
	stopped func() error
}

func (s stoppable) Read(p []byte) (int, error) {
	if err := s.stopped(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

// atEnd wants nothing but space in what is left: a body was checked to be one value, a file was not.
func atEnd(data io.Reader) error {
	b := make([]byte, 512)
	for {
		n, err := data.Read(b)
		switch {
		case len(bytes.TrimSpace(b[:n])) > 0:
			return invalid("file", "it has more text after the value; a file holds one")
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// fileError is an answer that tells why a file cannot be used. The texts of the system's errors hold the file's name, and
// those that the log shall see lose it.
func fileError(err error) error {
	var own *Error
	var wrong *table.Error
	var path *fs.PathError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &wrong):
		if wrong.Hint != "" {
			return invalid("file", "%s; %s", wrong, wrong.Hint)
		}
		return invalid("file", "%s", wrong)
	case errors.Is(err, fs.ErrNotExist):
		return noFile("unknown-file", "there is no such file in this node's folder")
	case errors.Is(err, fs.ErrPermission):
		return noFile("unreadable-file", "this node is not allowed to read it; let the user that the node runs as read it, or send the data")
	case errors.Is(err, fs.ErrInvalid):
		return errFileName
	case errors.As(err, &path):
		err = path.Err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &Error{Code: 500, Reason: "internal", Message: "reading the file failed; this gateway's log says why",
		cause: fmt.Errorf("reading a file of data: %w", err)}
}

// noFile is a file that the node cannot open where its client perhaps can, as its reason tells.
func noFile(reason, message string) *Error {
	e := invalid("file", "%s", message)
	e.Reason = reason
	return e
}

// anywhere takes the place out of an answer about a value that was compared with parameters. Who may compute with the file
// may not read it, and by other and other parameters would learn what stands where.
func anywhere(err error) error {
	var compared *simon.ComparedError
	if errors.As(err, &compared) {
		return invalid("file", "there is a value that %s", compared.Reason)
	}
	return err
}

// atLine adds to a complaint about a value the line of the file where it stands, unless anywhere shall hide that.
func atLine(err error, data *table.Reader) error {
	var compared *simon.ComparedError
	var input *simon.InputError
	if errors.As(err, &compared) || !errors.As(err, &input) {
		return err
	}
	row, ok := strings.CutPrefix(input.Path, "data[")
	row, _, end := strings.Cut(row, "]")
	i, bad := strconv.Atoi(row)
	if !ok || !end || bad != nil || data.Line(i) == 0 {
		return err
	}
	return &simon.InputError{Path: input.Path, Reason: fmt.Sprintf("%s (line %d of the file)", input.Reason, data.Line(i))}
}
