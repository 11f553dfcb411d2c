package main

import (
	"bytes"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// coordinator collects n JOINs of a computation and answers with START.
type coordinator struct {
	mu    sync.Mutex
	joins map[string][][]byte
	nc    *nats.Conn
}

func listenCoordinator(nc *nats.Conn) {
	c := &coordinator{joins: map[string][][]byte{}, nc: nc}
	s := must(nc.Subscribe("weft.c.*.coord.*", func(m *nats.Msg) {
		t := strings.Split(m.Subject, ".")
		c.dispatch(t[2], must(strconv.Atoi(t[4][1:])), m.Data)
	}))
	must(0, s.SetPendingLimits(-1, -1))
	must(0, nc.Flush())
}

func (c *coordinator) dispatch(uuid string, from int, data []byte) {
	common := len(data) - ownLen - 64
	c.mu.Lock()
	l := c.joins[uuid]
	if l == nil {
		l = make([][]byte, o.n+1)
		c.joins[uuid] = l
		l[o.n] = append([]byte{kStart}, data[:common]...)
	}
	l[from] = data[common:]
	full := true
	for _, j := range l {
		full = full && j != nil
	}
	if full {
		delete(c.joins, uuid)
	}
	c.mu.Unlock()
	if !full {
		return
	}
	st := append(l[o.n], bytes.Join(l[:o.n], nil)...)
	for i := range o.n {
		must(0, c.nc.Publish("weft.c."+uuid+"."+id(i)+".coord", st))
	}
}
