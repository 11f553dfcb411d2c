package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// benchCallers make small calls of the representation API: each stores a number, finds Simon, asks for its compute, reads the
// number back and releases it, one call after the other, and begins anew.
type benchCallers struct {
	mu   sync.Mutex
	idle []*benchCaller
}

// benchCaller is in the middle of its five calls.
type benchCaller struct {
	client *client
	number int
	done   int // of the five
	value  string
	simon  string
}

// newBenchCallers are so many callers, by turns at the gateways.
func newBenchCallers(a httpAsker, callers int) *benchCallers {
	b := &benchCallers{}
	for i := range callers {
		b.idle = append(b.idle, &benchCaller{client: a.clients[i%len(a.clients)], number: i})
	}
	return b
}

// once makes the next call of one caller, and measures it.
func (b *benchCallers) once(ctx context.Context) (benchTimes, error) {
	b.mu.Lock()
	c := b.idle[0]
	b.idle = b.idle[1:]
	b.mu.Unlock()
	begin := time.Now()
	err := c.next(ctx)
	took := time.Since(begin)
	b.mu.Lock()
	b.idle = append(b.idle, c)
	b.mu.Unlock()
	if cause := context.Cause(ctx); cause != nil {
		return benchTimes{}, cause
	}
	return benchTimes{whole: took}, err
}

// forget lets every caller finish, so that nothing of theirs is left.
func (b *benchCallers) forget(ctx context.Context) error {
	for _, c := range b.idle {
		for c.done > 0 {
			if err := c.next(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// next makes one call and checks the answer.
func (c *benchCaller) next(ctx context.Context) (err error) {
	switch c.done {
	case 0:
		c.value, err = c.represent(ctx, http.MethodPut, "/representations", fmt.Sprintf(`{"args":[%d],"kwargs":{}}`, c.number))
	case 1:
		c.simon, err = c.represent(ctx, http.MethodPost, "/representations", `{"args":[],"kwargs":{"protocol":"Simon"}}`)
	case 2:
		_, err = c.represent(ctx, http.MethodGet, "/representation/"+c.simon+"/compute", "")
	case 3:
		var answer json.RawMessage
		answer, err = c.client.do(ctx, http.MethodGet, "/representation/"+c.value, nil, answerTime)
		if want := `{"type":"object","object":` + strconv.Itoa(c.number) + `}`; err == nil && strings.TrimSpace(string(answer)) != want {
			err = fmt.Errorf("%s gives %.100s for the value %d", c.client.base, answer, c.number)
		}
	case 4:
		_, err = c.client.do(ctx, http.MethodDelete, "/representation/"+c.value, nil, answerTime)
	}
	if err == nil {
		c.done = (c.done + 1) % 5
	}
	return err
}

// represent makes a call that is answered with a representation.
func (c *benchCaller) represent(ctx context.Context, method, path, body string) (string, error) {
	raw, err := c.client.do(ctx, method, path, []byte(body), answerTime, "Content-Type", "application/json")
	if err != nil {
		return "", err
	}
	var answer struct {
		UUID string `json:"uuid"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil || answer.UUID == "" {
		return "", c.client.foreign(errors.New("it answers with no representation"))
	}
	return answer.UUID, nil
}
