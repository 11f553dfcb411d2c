package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// needles are pieces of a secret file as an output could show them: no message has that many characters of it in a row.
func needles(file []byte) []string {
	const most = 12
	var body []byte
	for line := range bytes.Lines(file) {
		if !bytes.HasPrefix(line, []byte("-----")) { // says that it is a key, and not which
			body = append(body, line...)
		}
	}
	var pieces []string
	for _, text := range []string{string(body), printable(string(body)), hex.EncodeToString(body), base64.StdEncoding.EncodeToString(body), fmt.Sprintf("%q", body)} {
		for line := range strings.Lines(text) {
			line = strings.TrimRight(line, "\n")
			for i := 0; i+most <= len(line); i++ {
				pieces = append(pieces, line[i:i+most])
			}
		}
	}
	return pieces
}

// told looks in an output for pieces of a secret.
func told(t *testing.T, out string, secret []byte, how ...string) {
	t.Helper()
	pieces := needles(secret)
	if len(pieces) < 20 {
		t.Fatalf("a secret of %d pieces", len(pieces))
	}
	for _, piece := range pieces {
		if strings.Contains(out, piece) {
			t.Errorf("%q tells %q of a secret: %s", how, piece, out)
			return
		}
	}
}

// People give the wrong file to a flag. If it is a secret one, nothing of it is in what they may paste into a mail: no message
// quotes the lines around a mistake.
func TestNoSecretsInMessages(t *testing.T) {
	o := newOffice(t)
	for _, args := range [][]string{{"alice"}, {"bob"}, {"coordinator", "--coordinator"}, {"ops", "--operator"}, {"hub", "--host", "localhost"}} {
		o.issue(args[0], args[1:]...)
	}
	weft := func(environ []string, args ...string) (int, string) {
		var out bytes.Buffer
		p := &program{
			stdin: strings.NewReader(""), stdout: &out, stderr: &out, signals: make(chan os.Signal), now: func() time.Time { return o.now },
			getenv: func(string) string { return "" }, environ: func() []string { return environ },
		}
		return p.execute(t.Context(), args), out.String()
	}
	if code, out := weft(nil, "node", "init", "--dir", o.path("alice"), "--members", o.path("ca", fileMembers)); code != exitDone {
		t.Fatal(out)
	}
	for _, path := range o.secrets() {
		secret, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		runs := [][]string{
			{"node", "--config", path}, {"coordinator", "--config", path}, {"broker", "hub", "--config", path}, {"doctor", "--config", path},
			{"broker", "hub", "--config", path, "--print"}, {"gateway", "--config", path}, {"gateway", "init", "--node", path, "--out", t.TempDir()},
			{"token", "ls", "--config", path},
			{"node", "init", "--dir", o.path("bob"), "--members", path}, {"broker", "hub", "init", "--dir", o.path("hub"), "--members", path},
		}
		authority := filepath.Join(t.TempDir(), "ca")
		if err := os.CopyFS(authority, os.DirFS(o.path("ca"))); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(authority, fileMembers), secret, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, how := range []string{"--days=30", "--renew", "--replace"} {
			runs = append(runs, []string{"ca", "issue", "alice", "--ca", authority, "--out", o.path("alice"), how})
		}
		for _, args := range runs {
			code, out := weft(nil, args...)
			if code != exitFailed || out == "" {
				t.Errorf("weft %v: exit code %d, %q", args, code, out)
			}
			told(t, out, secret, args...)
		}
		// The same in the place of each file that a configuration names. Nobody is at the hub's address.
		for _, name := range []string{"WEFT_CA", "WEFT_IDENTITY_CERT", "WEFT_IDENTITY_KEY", "WEFT_HUB_CERT", "WEFT_HUB_KEY", "WEFT_HUB_CA", "WEFT_HUB_NKEY", "WEFT_STATE"} {
			environ := []string{"WEFT_HUB_URL=tls://localhost:1", name + "=" + path}
			code, out := weft(environ, "doctor", "--config", o.path("alice", "node.yaml"))
			if code != exitFailed || out == "" {
				t.Errorf("weft doctor with %v: exit code %d, %q", environ, code, out)
			}
			told(t, out, secret, environ...)
		}
	}
}

// secrets makes and names one file of each kind that nobody else may read.
func (o *office) secrets() []string {
	o.t.Helper()
	s, err := openState(o.path("alice", "state"))
	if err != nil {
		o.t.Fatal(err)
	}
	s.close()
	random := make([]byte, 200) // what age writes is as random
	if _, err := rand.Read(random); err != nil {
		o.t.Fatal(err)
	}
	sealed := pem.EncodeToMemory(&pem.Block{Type: "AGE ENCRYPTED FILE", Bytes: random})
	if err := os.WriteFile(o.path("ca.key.age"), sealed, 0o600); err != nil {
		o.t.Fatal(err)
	}
	return []string{
		o.path("alice", fileNKey), o.path("ops", fileNKey), o.path("alice", "identity.key"), o.path("alice", "tls.key"), o.path("hub", "tls.key"),
		o.path("ca", "ca.key"), o.path("ca.key.age"), o.path("alice", "state", fileStateKey),
	}
}
