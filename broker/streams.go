package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// streamList is the file beside the store that names every stream which was ever found in it, one ACCOUNT/STREAM a line.
//
// The server goes on without a stream that it cannot read, and deletes the stream's folder: whoever provisions next would
// get an empty one in its place, and take the ledger for empty. So the streams are listed before a server starts, durably,
// and a start after which one of them is not there fails, as does every later one.
const streamList = "streams"

// The server's names for what is in a store: jetstream/ACCOUNT/streams/STREAM.
const (
	storeFolder   = "jetstream"
	streamsFolder = "streams"
	blocksFolder  = "msgs"
	purgeFolder   = "__new_msgs__" // a purge of all messages was cut off, which the server completes
	metaSum       = "meta.sum"     // written last when a stream is made
	metaKey       = "meta.key"     // of an encrypted stream
	minBlockKey   = 64             // bytes; the server takes a block whose key is shorter for lost
)

// listStreams brings the list up to date with what lies in the folder and returns it, sorted. It runs before the server.
func listStreams(dir string, encrypted bool) ([]string, error) {
	path := filepath.Join(dir, streamList)
	was, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	listed := map[string]bool{}
	for _, name := range strings.Fields(string(was)) {
		listed[name] = true
	}
	folders, err := fs.Glob(os.DirFS(dir), storeFolder+"/*/"+streamsFolder+"/*")
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		part := strings.Split(folder, "/")
		account, stream := part[1], part[3]
		if strings.HasPrefix(stream, ".") { // the server was deleting it
			continue
		}
		name, folder := account+"/"+stream, filepath.Join(dir, filepath.FromSlash(folder))
		holds, err := checkBlocks(folder, encrypted)
		if err != nil {
			return nil, unreadable(name, dir, err)
		}
		// A process that died while it made a stream leaves neither.
		if _, err := os.Stat(filepath.Join(folder, metaSum)); err == nil || holds {
			listed[name] = true
		}
	}
	list := slices.Sorted(maps.Keys(listed))
	if now := strings.Join(list, "\n") + "\n"; len(list) > 0 && now != string(was) {
		if err := writeDurably(dir, path, now); err != nil {
			return nil, fmt.Errorf("writing the list of streams: %w", err)
		}
	}
	return list, nil
}

// checkBlocks looks at the blocks of messages of one stream and says whether any holds something. In an encrypted stream
// it refuses a block that holds something and has no key, while everything is still there: the server would take it for
// plain text and delete the stream. An empty block without its key is what a full disk or a full table of files leaves
// where a new block was begun; it would cost the whole stream as well, and is removed.
func checkBlocks(folder string, encrypted bool) (holds bool, err error) {
	blocks, err := fs.Glob(os.DirFS(folder), blocksFolder+"/*.blk")
	if err != nil {
		return false, err
	}
	_, errMeta := os.Stat(filepath.Join(folder, metaKey))
	_, errPurge := os.Stat(filepath.Join(folder, purgeFolder))
	for _, block := range blocks {
		block = filepath.Join(folder, filepath.FromSlash(block))
		b, err := os.Stat(block)
		if err != nil {
			return false, err
		}
		holds = holds || b.Size() > 0
		key, err := os.Stat(strings.TrimSuffix(block, ".blk") + ".key")
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return false, err
		case !encrypted || errPurge == nil:
		case err != nil && b.Size() == 0:
			if err := os.Remove(block); err != nil {
				return false, err
			}
		case b.Size() > 0 && errMeta == nil && (err != nil || key.Size() < minBlockKey):
			return false, fmt.Errorf("the key of %s is gone", block)
		}
	}
	return holds, nil
}

// checkStreams returns an error if a listed stream is not there after the start.
func checkStreams(srv *server.Server, dir string, list []string) error {
	z, err := srv.Jsz(&server.JSzOptions{Accounts: true, Streams: true})
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, a := range z.AccountDetails {
		for _, s := range a.Streams {
			there[a.Name+"/"+s.Name] = true
		}
	}
	for _, name := range list {
		if !there[name] {
			return unreadable(name, dir, nil)
		}
	}
	return nil
}

func unreadable(name, dir string, cause error) error {
	why := ""
	if cause != nil {
		why = " (" + cause.Error() + ")"
	}
	return fmt.Errorf("the stream %s in %s cannot be read%s: restore the folder from a backup, or move it away to begin anew; "+
		"unfinished jobs and the ledger are in it", name, dir, why)
}
