package main

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	kStart = iota
	kShare
	kConfirm
	headerLen = 220
	ownLen    = 32 + 8 + 8 + 32 + 32 + 1400 // fingerprint, issued, expiry, nonce, X25519 key, bundle
	valueLen  = 24                          // bytes of one value in a share
	chunkMax  = 524280                      // multiple of valueLen, below 512 KiB
)

type opts struct {
	n, elems      int
	overlap, pool bool
	dir           string
}

func (o *opts) chunks() int { return max(1, (o.elems*valueLen+chunkMax-1)/chunkMax) }

// comp is the mailbox and the record of one computation at one party.
type comp struct {
	uuid  string
	in    chan []byte
	stash [3][][]byte
	rev   uint64
}

func (c *comp) next(kind byte) []byte {
	for len(c.stash[kind]) == 0 {
		m := <-c.in
		c.stash[m[0]] = append(c.stash[m[0]], m)
	}
	m := c.stash[kind][0]
	c.stash[kind] = c.stash[kind][1:]
	return m
}

// node is one party.
type node struct {
	o               *opts
	i               int
	nc              *nats.Conn
	js              jetstream.JetStream
	kv              jetstream.KeyValue
	priv            ed25519.PrivateKey
	pubs            []ed25519.PublicKey
	fps             [][32]byte
	common, bundle  []byte
	channelKey      [][]byte
	atRest          cipher.AEAD
	mu              sync.Mutex
	comps           map[string]*comp
	pool            chan *ecdh.PrivateKey
	zero            []byte
	forJoin, forEnd *ed25519.Options
}

func id(i int) string { return fmt.Sprintf("p%d", i) }

func gcm(key []byte) cipher.AEAD { return must(cipher.NewGCM(must(aes.NewCipher(key)))) }

func newUUID() string {
	b := make([]byte, 16)
	must(rand.Read(b))
	return hex.EncodeToString(b)
}

// newNode makes party i; keys follow from the index, so that other processes know them.
func newNode(o *opts, i int) *node {
	p := &node{o: o, i: i, comps: map[string]*comp{}, bundle: make([]byte, 1400), zero: make([]byte, min(chunkMax, o.elems*valueLen)),
		forJoin: &ed25519.Options{Context: "weft/v1/join"}, forEnd: &ed25519.Options{Context: "weft/v1/confirm"}}
	p.common = make([]byte, 100+5*32+32)
	for j := range o.n {
		seed := sha256.Sum256([]byte("seed" + id(j)))
		k := ed25519.NewKeyFromSeed(seed[:])
		if j == i {
			p.priv = k
		}
		p.pubs = append(p.pubs, k.Public().(ed25519.PublicKey))
		p.fps = append(p.fps, sha256.Sum256(p.pubs[j]))
		ck := sha256.Sum256(fmt.Appendf(nil, "K%d,%d", min(i, j), max(i, j)))
		p.channelKey = append(p.channelKey, ck[:])
		p.common = append(append(append(p.common, p.fps[j][:]...), 0, byte(j)), p.fps[j][:]...)
	}
	p.atRest = gcm(p.channelKey[i])
	p.pool = make(chan *ecdh.PrivateKey, 64) // used up: made on the spot
	return p
}

func (p *node) ephemeral() *ecdh.PrivateKey {
	if p.o.pool {
		select {
		case e := <-p.pool:
			return e
		default:
		}
	}
	return must(ecdh.X25519().GenerateKey(rand.Reader))
}

// refill fills the pool, outside the measured time.
func (p *node) refill() {
	for len(p.pool) < cap(p.pool) {
		p.pool <- must(ecdh.X25519().GenerateKey(rand.Reader))
	}
}

func (p *node) comp(uuid string) *comp {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.comps[uuid]
	if c == nil {
		c = &comp{uuid: uuid, in: make(chan []byte, p.o.n*(p.o.chunks()+1)+2)}
		p.comps[uuid] = c
	}
	return c
}

// listen opens the party's one standing subscription.
func (p *node) listen() {
	s := must(p.nc.Subscribe("weft.c.*."+id(p.i)+".>", func(m *nats.Msg) {
		uuid := m.Subject[7 : 7+strings.IndexByte(m.Subject[7:], '.')]
		p.comp(uuid).in <- m.Data
	}))
	must(0, s.SetPendingLimits(-1, -1))
}

func (p *node) send(uuid, to string, data []byte) {
	must(0, p.nc.Publish("weft.c."+uuid+"."+to+"."+id(p.i), data))
}

// put writes a phase with compare-and-set; the returned function waits for the acknowledgement. Of a large body the
// record has the beginning only: the floor of a vector is without the cost of keeping it.
func (p *node) put(c *comp, phase string, parts ...[]byte) func() {
	rec := bytes.Join(append(parts, []byte(phase), p.common[:200]), nil)
	if len(rec) > 1<<18 {
		rec = rec[:64]
	}
	nonce := make([]byte, 12, 28+len(rec))
	must(rand.Read(nonce))
	rec = p.atRest.Seal(nonce, nonce, rec, []byte(c.uuid))
	if !p.o.overlap {
		c.rev = must(p.kv.Update(context.Background(), c.uuid, rec, c.rev))
		return func() {}
	}
	m := &nats.Msg{Subject: "$KV." + p.kv.Bucket() + "." + c.uuid, Data: rec}
	f := must(p.js.PublishMsgAsync(m, jetstream.WithExpectLastSequencePerSubject(c.rev)))
	return func() {
		select {
		case a := <-f.Ok():
			c.rev = a.Sequence
		case err := <-f.Err():
			panic(err)
		}
	}
}

func (p *node) sign(o *ed25519.Options, msg []byte) []byte { return must(p.priv.Sign(nil, msg, o)) }

func (p *node) verify(j int, o *ed25519.Options, msg, sig []byte) {
	must(0, ed25519.VerifyWithOptions(p.pubs[j], msg, sig, o))
}

// addVec adds or subtracts fields of 192 bits, little endian, the carry inside each field.
func addVec(dst, m []byte, sub bool) {
	le := binary.LittleEndian
	for ; len(dst) >= valueLen && len(m) >= valueLen; dst, m = dst[valueLen:], m[valueLen:] {
		a, b, c := le.Uint64(dst), le.Uint64(dst[8:]), le.Uint64(dst[16:])
		x, y, z := le.Uint64(m), le.Uint64(m[8:]), le.Uint64(m[16:])
		var k uint64
		if sub {
			a, k = bits.Sub64(a, x, 0)
			b, k = bits.Sub64(b, y, k)
			c, _ = bits.Sub64(c, z, k)
		} else {
			a, k = bits.Add64(a, x, 0)
			b, k = bits.Add64(b, y, k)
			c, _ = bits.Add64(c, z, k)
		}
		le.PutUint64(dst, a)
		le.PutUint64(dst[8:], b)
		le.PutUint64(dst[16:], c)
	}
}

// link has the keys of one peer in one computation.
type link struct {
	to, from cipher.AEAD
	mask     cipher.Stream
}

// attempt is one computation at one party.
type attempt struct {
	*node
	c       *comp
	uuid    string
	written func() // waits for the record that was written last
	key     *ecdh.PrivateKey
	digest  [32]byte // of the common part
	common  []byte
	sid     []byte
	joins   []byte
	links   []*link
	vector  []byte   // the input, then the masked input, then the sum
	hashes  [][]byte // of the bodies, per party
	earlier [32]byte // the header's transcript hash, not used by a sum
}

// run is one computation at one party, from submission to the confirmed sum.
func (p *node) run(uuid string, x []byte) []byte {
	a := &attempt{node: p, c: p.comp(uuid), uuid: uuid, links: make([]*link, p.o.n), hashes: make([][]byte, p.o.n)}
	a.written = p.put(a.c, "open", x)
	a.join()
	a.start()
	a.share(x)
	a.add()
	a.confirm()
	p.mu.Lock()
	delete(p.comps, uuid)
	p.mu.Unlock()
	return a.vector
}

func (a *attempt) join() {
	own := make([]byte, ownLen, ownLen+64)
	copy(own, a.fps[a.i][:])
	binary.LittleEndian.PutUint64(own[32:], uint64(time.Now().UnixNano()))
	must(rand.Read(own[48:80]))
	a.key = a.ephemeral()
	copy(own[80:112], a.key.PublicKey().Bytes())
	copy(own[112:], a.bundle)
	a.common = append([]byte(a.uuid), a.node.common...)
	a.digest = sha256.Sum256(a.common)
	sig := a.sign(a.forJoin, append(a.digest[:], own...))
	a.send(a.uuid, "coord", bytes.Join([][]byte{a.common, own, sig}, nil))
}

// start waits for START, checks all JOINs in it, and derives the keys.
func (a *attempt) start() {
	st := a.c.next(kStart)
	if !bytes.Equal(st[1:1+len(a.common)], a.common) {
		panic("common differs")
	}
	a.joins = st[1+len(a.common):]
	sid := sha256.Sum256(st)
	a.sid = sid[:]
	a.written()
	if a.o.overlap {
		a.written = a.put(a.c, "started", a.sid)
	}
	for j := range a.o.n {
		if j != a.i {
			join := a.joins[j*(ownLen+64) : (j+1)*(ownLen+64)]
			a.verify(j, a.forJoin, append(a.digest[:len(a.digest):len(a.digest)], join[:ownLen]...), join[ownLen:])
			a.links[j] = a.link(j, join)
		}
	}
	if !a.o.overlap {
		a.put(a.c, "started", a.sid)
	}
}

func (a *attempt) link(j int, join []byte) *link {
	secret := must(a.key.ECDH(must(ecdh.X25519().NewPublicKey(join[80:][:32]))))
	prk := must(hkdf.Extract(sha256.New, append(append([]byte{32, 0}, a.channelKey[j]...), secret...), a.sid))
	key := func(purpose string, from, to int) []byte {
		return must(hkdf.Expand(sha256.New, prk, "weft/v1/key"+purpose+"sum/1/0"+string(a.fps[from][:])+string(a.fps[to][:]), 32))
	}
	return &link{
		to: gcm(key("seal", a.i, j)), from: gcm(key("seal", j, a.i)),
		mask: cipher.NewCTR(must(aes.NewCipher(key("mask", min(a.i, j), max(a.i, j)))), make([]byte, 16)),
	}
}

// share masks, seals and sends the vector, chunk by chunk; the masked vector stays here as the own body.
func (a *attempt) share(x []byte) {
	a.vector = bytes.Clone(x)
	stream, salt := make([]byte, len(a.zero)), make([]byte, 32)
	must(rand.Read(salt))
	hash := sha256.New()
	hash.Write(salt)
	for k := range a.o.chunks() {
		chunk := a.vector[k*chunkMax : min(len(a.vector), (k+1)*chunkMax)]
		for j, l := range a.links {
			if l != nil {
				l.mask.XORKeyStream(stream[:len(chunk)], a.zero[:len(chunk)])
				addVec(chunk, stream[:len(chunk)], a.i > j)
			}
		}
		hash.Write(chunk)
		body := chunk
		if k == 0 {
			body = append(salt[:32:32], chunk...)
		}
		if pad := 256 - len(body); pad > 0 {
			body = append(body, make([]byte, pad)...)
		}
		if k == 0 && a.o.overlap {
			a.written()
		}
		for j, l := range a.links {
			if l != nil {
				a.send(a.uuid, id(j), a.seal(l, a.header(kShare, j, k, k, len(body)), uint64(k), body))
			}
		}
	}
	a.hashes[a.i] = hash.Sum(nil)
}

// add opens the others' bodies and adds them.
func (a *attempt) add() {
	in := make([]interface {
		Write([]byte) (int, error)
		Sum([]byte) []byte
	}, a.o.n)
	for range (a.o.n - 1) * a.o.chunks() {
		m := a.c.next(kShare)
		j, k := int(m[1]), int(binary.LittleEndian.Uint32(m[155:]))
		body := a.open(a.links[j], m)
		part := a.vector[k*chunkMax : min(len(a.vector), (k+1)*chunkMax)]
		if k == 0 {
			in[j] = sha256.New()
			in[j].Write(body[:32])
			body = body[32:]
		}
		in[j].Write(body[:len(part)])
		addVec(part, body, false)
	}
	for j, h := range in {
		if j != a.i {
			a.hashes[j] = h.Sum(nil)
		}
	}
}

// confirm signs what was seen and releases the sum when all others have signed the same.
func (a *attempt) confirm() {
	transcript := sha256.New()
	transcript.Write(a.sid)
	for _, h := range a.hashes {
		transcript.Write(h)
	}
	result := sha256.Sum256(a.vector)
	statement := append(append(bytes.Clone(a.sid), transcript.Sum(nil)...), result[:]...)
	if a.o.overlap { // Ed25519 is deterministic: the signature is made again from the record
		a.written = a.put(a.c, "committed", a.vector, statement)
	}
	sig := a.sign(a.forEnd, statement)
	if !a.o.overlap {
		a.put(a.c, "committed", a.vector, statement, sig)
	}
	last := a.o.chunks()
	sealed := make([][]byte, a.o.n)
	for j, l := range a.links {
		if l != nil {
			sealed[j] = a.seal(l, a.header(kConfirm, j, last, 0, 64), uint64(last), sig)
		}
	}
	a.written()
	for j, m := range sealed {
		if m != nil {
			a.send(a.uuid, id(j), m)
		}
	}
	for range a.o.n - 1 {
		m := a.c.next(kConfirm)
		a.verify(int(m[1]), a.forEnd, statement, a.open(a.links[m[1]], m))
	}
	written := a.put(a.c, "done", result[:])
	if a.o.overlap { // a crash before the acknowledgement leaves "committed", which recovers
		go written()
	}
}

func (a *attempt) header(kind byte, j, seq, chunk, length int) []byte {
	h := make([]byte, headerLen, headerLen+length+32)
	h[0], h[1], h[2] = kind, byte(a.i), 1
	le := binary.LittleEndian
	must(hex.Decode(h[3:19], []byte(a.uuid)))
	copy(h[19:51], a.sid)
	copy(h[67:83], "sum/1/masksum/0/")
	copy(h[83:115], a.fps[a.i][:])
	copy(h[115:147], a.fps[j][:])
	le.PutUint64(h[147:], uint64(seq))
	le.PutUint32(h[155:], uint32(chunk))
	le.PutUint32(h[159:], uint32(length))
	copy(h[163:195], a.earlier[:])
	return h
}

func nonce(seq uint64) []byte { return binary.LittleEndian.AppendUint64(make([]byte, 4, 12), seq) }

func (a *attempt) seal(l *link, h []byte, seq uint64, body []byte) []byte {
	return l.to.Seal(h, nonce(seq), body, h)
}

func (a *attempt) open(l *link, m []byte) []byte {
	if !bytes.Equal(m[19:51], a.sid) {
		panic("other sid")
	}
	return must(l.from.Open(m[headerLen:headerLen], nonce(binary.LittleEndian.Uint64(m[147:])), m[headerLen:], m[:headerLen]))
}
