package test

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A reader pastes what README.md says about processes of their own into a shell, in an empty folder, and sees the sum.
func TestReadmeNodes(t *testing.T) {
	own := readMarkdown(t, "../README.md")["Three nodes, processes of their own, in five minutes"]
	if own == nil || len(own.blocks) != 3 {
		t.Fatal("README.md has other sections than this test knows")
	}
	for _, port := range []string{"4222", "8501", "8502", "8503"} {
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatalf("port %s, which README.md's commands use, is not free: %v", port, err)
		}
		l.Close()
	}
	sh := newShell(t)
	for _, line := range strings.Split(own.blocks[0], "\n") {
		if out, err := sh.run(line); err != nil {
			t.Fatalf("%s: %v: %s", line, err, out)
		}
	}

	processes := strings.Split(own.blocks[1], "\n")
	if len(processes) != 5 {
		t.Errorf("README.md starts %d processes", len(processes))
	}
	for _, line := range processes {
		sh.start(line)
	}
	for _, port := range []string{"8501", "8502", "8503"} {
		becomesReady(t, "http://127.0.0.1:"+port)
	}
	commands := own.spans
	if i := slices.IndexFunc(commands, func(c string) bool { return strings.HasPrefix(c, "weft doctor ") }); i < 0 {
		t.Errorf("README.md does not name weft doctor: %q", commands)
	} else if out, err := sh.run(commands[i]); err != nil || !strings.Contains(out, "ok       coordinator") {
		t.Errorf("%s: %v: %s", commands[i], err, out)
	}

	runs := strings.Split(own.blocks[2], "\n")
	var wg sync.WaitGroup
	for _, line := range runs {
		wg.Go(func() {
			out, err := sh.run(strings.TrimSuffix(line, " &"))
			if err != nil || !strings.Contains(out, "inputs   3\nsamples  3\nsum      85\n") {
				t.Errorf("%s: %v: %s", line, err, out)
			}
		})
	}
	wg.Wait()
	if len(runs) != 3 {
		t.Errorf("README.md runs %d parties", len(runs))
	}
}

// shell runs lines in a folder, with weft in the path.
type shell struct {
	t   *testing.T
	dir string
	env []string
}

func newShell(t *testing.T) *shell {
	t.Helper()
	bin := t.TempDir()
	if err := os.Symlink(binary, filepath.Join(bin, "weft")); err != nil {
		t.Fatal(err)
	}
	return &shell{t, t.TempDir(), append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))}
}

func (s *shell) command(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+line)
	cmd.Dir, cmd.Env = s.dir, s.env
	return cmd
}

func (s *shell) run(line string) (string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	out, err := s.command(ctx, line).CombinedOutput()
	return string(out), err
}

// start runs a line that ends in & until the test ends, and sees that the process then ends cleanly.
func (s *shell) start(line string) {
	s.t.Helper()
	line, ok := strings.CutSuffix(line, " &")
	if !ok {
		s.t.Errorf("%s does not go to the background", line)
	}
	said := &lockedBuffer{}
	cmd := s.command(context.Background(), line)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		end := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer end.Stop()
		if err := cmd.Wait(); err != nil {
			s.t.Errorf("%s: %v", line, err)
		}
		if s.t.Failed() {
			s.t.Logf("%s said:\n%s", line, said)
		}
	})
}

// becomesReady waits until a gateway says that its node can compute.
func becomesReady(t *testing.T, url string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(patience); ; {
		if r, err := http.Get(url + "/readyz"); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s does not become ready", url)
		}
	}
}
