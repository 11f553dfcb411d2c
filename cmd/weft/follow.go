package main

import (
	"bufio"
	"context"
	"errors"
	"strings"
	"time"
)

const (
	maxFailures = 40              // questions without answer, one after the other, until the terminal gives up: about 3 min
	firstPause  = time.Second / 4 // after the first of them, doubling
	longPause   = 5 * time.Second
	idlePause   = time.Second // after an answer without news, in case the gateway does not hold questions
)

// update is news of a job: its next state, or that asking failed; final: no more will come.
type update struct {
	job   job
	err   error
	final bool
}

// watch asks for the job until it has ended and sends what it hears. It gives up after maxFailures.
func (p *program) watch(ctx context.Context, c *client, j job, news chan<- update) {
	send := func(u update) bool {
		select {
		case news <- u:
			return true
		case <-ctx.Done():
			return false
		}
	}
	failures := 0
	for wait := firstPause; ; {
		next, err := c.next(ctx, j.ID, j.Revision)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failures++
			final := !transient(err) || failures >= maxFailures
			if !send(update{job: j, err: err, final: final}) || final || p.pause(ctx, wait) != nil {
				return
			}
			wait = min(2*wait, longPause)
			continue
		case next.terminal():
			send(update{job: next, final: true})
			return
		case next.Revision == j.Revision && failures == 0:
			if p.pause(ctx, idlePause) != nil {
				return
			}
			continue
		}
		failures, wait, j = 0, firstPause, next
		if !send(update{job: j}) {
			return
		}
	}
}

// follow shows the job's progress until it has ended and returns it. Ctrl-C asks the person at the terminal whether to
// cancel the job; a second one, or one where nobody can be asked, leaves the job to itself.
func (p *program) follow(ctx context.Context, c *client, j job, shown *progress) (job, error) {
	if j.terminal() {
		return j, nil
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	news := make(chan update)
	go p.watch(watching, c, j, news)

	var answer chan string // not nil: a question is open
	cancelling := false
	line := standing(j)
	shown.job(j, line)
	for {
		select {
		case u := <-news:
			if u.final {
				shown.clear()
				return p.last(c, u, cancelling)
			}
			j, line = u.job, standing(u.job)
			if u.err != nil {
				line = "the gateway does not answer; asking again (" + u.err.Error() + ")"
			}
			if answer == nil {
				shown.job(j, line)
			}
		case <-p.signals:
			if answer != nil || cancelling || !p.person {
				return j, p.leave(c, j, shown)
			}
			shown.ask("\nweft: cancel the job? [y/N]")
			answer = p.readLine()
		case text := <-answer:
			answer = nil
			if yes(text) {
				cancelling = p.cancel(ctx, c, j, shown)
			}
			shown.show(line)
		case <-ctx.Done():
			return j, p.leave(c, j, shown)
		}
	}
}

// last judges the last news of a job.
func (p *program) last(c *client, u update, cancelled bool) (job, error) {
	switch {
	case u.err != nil:
		return u.job, withHint(u.err, "the job goes on if the gateway does: %s", look(c, u.job))
	case cancelled && u.job.State == stateCancelled:
		(&progress{w: p.stderr}).say("weft: job %s is cancelled", oneLine(u.job.ID))
		return u.job, &exitError{exitInterrupted}
	}
	return u.job, nil
}

// leave says how to find the job again.
func (p *program) leave(c *client, j job, shown *progress) error {
	if p.person {
		shown.ask("\nweft:") // a line of its own, behind ^C or an open question
		shown.say("interrupted")
	} else {
		shown.say("weft: interrupted")
	}
	shown.say("weft: job %s goes on without this terminal. To look at it:\n  %s", oneLine(j.ID), look(c, j))
	return &exitError{exitInterrupted}
}

// cancel asks the gateway to give the job up and says what it answered. It reports whether the job is being cancelled.
func (p *program) cancel(ctx context.Context, c *client, j job, shown *progress) bool {
	ctx, stop := p.interruptible(ctx, nil)
	defer stop()
	_, err := c.cancel(ctx, j.ID)
	switch {
	case err == nil:
		shown.say("weft: the job is being cancelled")
		return true
	case errors.Is(err, errInterrupted):
		shown.say("weft: whether the job is cancelled is not known yet; Ctrl-C once more leaves")
		return true
	}
	shown.say("weft: the job is not cancelled: %s", oneLine(err.Error()))
	return false
}

// readLine reads one line of standard input in the background. At the end of the input it is empty.
func (p *program) readLine() chan string {
	if p.lines == nil {
		p.lines = bufio.NewReader(p.stdin)
	}
	answer := make(chan string, 1)
	go func() {
		text, _ := p.lines.ReadString('\n') // an error is an empty answer: no
		answer <- text
	}()
	return answer
}

func yes(text string) bool {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "y", "yes":
		return true
	}
	return false
}
