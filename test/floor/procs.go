package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// certificate makes the broker's, and leaves it as ca.pem for the parties.
func certificate() *tls.Config {
	k := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der := must(x509.CreateCertificate(rand.Reader, t, t, k.Public(), k))
	must(0, os.WriteFile(filepath.Join(o.dir, "ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: k}}}
}

// procs runs each party as a process with its own JetStream, over TLS to one broker here. What it measures includes the
// way of the trigger to the parties and of their reports back; the first line is that way alone.
func procs() {
	s := start(&server.Options{Host: "127.0.0.1", Port: -1, TLSConfig: certificate(), TLS: true, TLSTimeout: 5})
	ca := nats.RootCAs(filepath.Join(o.dir, "ca.pem"))
	url := "tls://" + s.Addr().String()
	listenCoordinator(must(nats.Connect(url, ca)))
	nc := must(nats.Connect("", nats.InProcessServer(s)))
	done := make(chan bool, o.n)
	must(nc.Subscribe("floor.done.>", func(*nats.Msg) { done <- true }))
	for i := range o.n {
		c := exec.Command(os.Args[0], append(slices.Clone(os.Args[1:]), "-child", strconv.Itoa(i), "-hub", url, "-dir", o.dir)...)
		c.Stderr = os.Stderr
		in, out := must(c.StdinPipe()), bufio.NewReader(must(c.StdoutPipe()))
		must(0, c.Start())
		must(out.ReadString('\n'))
		defer c.Wait()
		defer in.Close()
	}
	drive := func(verb string) func() time.Duration {
		return func() time.Duration {
			uuid := newUUID()
			t := time.Now()
			must(0, nc.Publish("floor."+verb, []byte(uuid)))
			for range o.n {
				<-done
			}
			return time.Since(t)
		}
	}
	report("procs-trigger", repeat(drive("ping")), 0)
	report("procs-raw", repeat(drive("raw")), 0)
	report("procs-sum", repeat(drive("sum")), 0)
}

// childMain is one party's process. It ends when its standard input does.
func childMain() {
	shared := o.dir
	o.dir = must(os.MkdirTemp(shared, "party"))
	p := newNode(&o, *child)
	s := start(&server.Options{DontListen: true, JetStream: true, StoreDir: o.dir, JetStreamMaxMemory: 1 << 30, JetStreamMaxStore: 4 << 30})
	p.openKV(must(nats.Connect("", nats.InProcessServer(s))))
	p.nc = must(nats.Connect(*hubURL, nats.RootCAs(filepath.Join(shared, "ca.pem"))))
	p.listen()
	size, parts := 64, 1
	if o.elems > 1 {
		size, parts = chunkMax, o.chunks()
	}
	x, got := vector(*child), make(chan bool, 2*o.n*parts)
	r := must(p.nc.Subscribe("weft.r.*."+id(p.i)+".>", func(*nats.Msg) { got <- true }))
	must(0, r.SetPendingLimits(-1, -1))
	must(p.nc.Subscribe("floor.*", func(m *nats.Msg) {
		go func() {
			switch m.Subject {
			case "floor.sum":
				check(p.run(string(m.Data), x))
			case "floor.raw":
				p.rawRound(size, parts, got)
			}
			must(0, p.nc.Publish("floor.done."+id(p.i), nil))
			if o.pool {
				p.refill()
			}
		}()
	}))
	must(0, p.nc.Flush())
	fmt.Println("ready")
	must(io.Copy(io.Discard, os.Stdin))
}
