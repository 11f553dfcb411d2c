package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// logger hands the server's log to slog. A fatal line is kept for Start: the server goes on after it, half started.
type logger struct {
	log *slog.Logger

	mu     sync.Mutex
	first  error
	broken chan error // gets the first write that the store could not do, and nothing else
}

// Noticef lets through, of much that nobody needs to know, that somebody was cut off for not keeping up.
func (l *logger) Noticef(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if strings.Contains(text, "Slow Consumer") {
		l.log.Warn(text)
		return
	}
	l.log.Debug(text)
}

func (l *logger) Warnf(format string, v ...any)  { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l *logger) Debugf(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *logger) Tracef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }

// Errorf looks for the one line that tells that a stream's store takes no more writes: a stream that could not write once
// is closed for good, also when the disk has room again, and requests to it are never answered.
func (l *logger) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.log.Warn(text)
	if _, cause, ok := strings.Cut(strings.ToLower(text), "critical write error: "); ok {
		select {
		case l.broken <- errors.New(cause):
		default:
		}
	}
}

func (l *logger) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		l.first = fmt.Errorf(format, v...)
	}
}

func (l *logger) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}
