package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/term"

	"github.com/weftmpc/weft/broker/identity"
)

// passphraseVariable holds the passphrase of the authority's key where nobody can be asked.
const passphraseVariable = "WEFT_CA_PASSPHRASE"

// passphrase asks for a passphrase once, or takes it from the environment.
func (p *program) passphrase(ctx context.Context, prompt string) (identity.Secret, error) {
	if s := p.getenv(passphraseVariable); s != "" {
		return identity.Secret(s), nil
	}
	t, err := openTerminal()
	if err != nil {
		return nil, err
	}
	defer t.close()
	return t.ask(ctx, prompt)
}

// newPassphrase asks for a new one twice: a mistyped passphrase would be noticed when it is too late.
func (p *program) newPassphrase(ctx context.Context) (identity.Secret, error) {
	if s := p.getenv(passphraseVariable); s != "" {
		return identity.Secret(s), checkPassphrase([]byte(s), passphraseVariable)
	}
	t, err := openTerminal()
	if err != nil {
		return nil, err
	}
	defer t.close()
	first, err := t.ask(ctx, "New passphrase of the authority: ")
	if err != nil {
		return nil, err
	}
	if err := checkPassphrase(first, "the passphrase"); err != nil {
		clear(first)
		return nil, err
	}
	again, err := t.ask(ctx, "The same again: ")
	defer clear(again)
	if err == nil && !bytes.Equal(first, again) {
		err = errors.New("the two passphrases differ: nothing has been made")
	}
	if err != nil {
		clear(first)
		return nil, err
	}
	return first, nil
}

func checkPassphrase(s []byte, from string) error {
	if len(s) < identity.MinPassphrase {
		return withHint(fmt.Errorf("%s has %d characters, at least %d are needed", from, len(s), identity.MinPassphrase),
			"take four words or more that nobody would guess together")
	}
	return nil
}

// terminal is where a person can be asked, also if standard input and output are files.
type terminal struct{ in, out *os.File }

func openTerminal() (*terminal, error) {
	in, out := "/dev/tty", "/dev/tty"
	if runtime.GOOS == "windows" {
		in, out = "CONIN$", "CONOUT$"
	}
	none := withHint(errors.New("the authority's passphrase is needed, and there is no terminal to ask for it"),
		"set %s in the environment", passphraseVariable)
	i, err := os.OpenFile(in, os.O_RDWR, 0)
	if err != nil {
		return nil, none
	}
	o, err := os.OpenFile(out, os.O_WRONLY, 0)
	if err != nil || !term.IsTerminal(int(i.Fd())) {
		return nil, errors.Join(none, i.Close())
	}
	return &terminal{i, o}, nil
}

func (t *terminal) close() {
	_ = t.in.Close()
	_ = t.out.Close()
}

// ask reads a line that is not shown. Ctrl-C ends it, and leaves the terminal as it was.
func (t *terminal) ask(ctx context.Context, prompt string) (identity.Secret, error) {
	fd := int(t.in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("asking for the passphrase: %w", err)
	}
	fmt.Fprint(t.out, prompt)
	defer fmt.Fprintln(t.out)
	type answer struct {
		line []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() { // after an interruption it goes on reading until the process ends, which is at once
		line, err := term.ReadPassword(fd)
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil {
			clear(a.line)
			return nil, fmt.Errorf("asking for the passphrase: %w", a.err)
		}
		return a.line, nil
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), term.Restore(fd, before))
	}
}
