package session

import "encoding/binary"

const (
	shareFields  = 15
	shareVersion = 1
	// chunkSize is how much of a salted body one message carries. With header and tag a message stays well below the
	// 1 MiB that a server accepts by default.
	chunkSize = 512 << 10
	// maxLabel is the most bytes of a label: call path, round and vector name.
	maxLabel = 1024
	tagSize  = 16
	// headerMax bounds all of a share message but label and sealed body.
	headerMax = 256
)

// header is what stands in the clear before a sealed body. Its encoding, as received, is the associated data of the seal:
//
//	[1, version, uuid, sid, epoch, protocol version, label, from, to, seq, chunk, chunks, th, length, body]
//
// After reading, the slices refer to the message.
type header struct {
	uuid, sid, epoch []byte
	version          uint32 // of the microprotocol
	label            []byte
	from, to         []byte // fingerprints
	seq              uint64 // counts what the sender has sealed for this receiver, from 1; the nonce
	chunk, chunks    uint32
	th               []byte // the sender's transcript hash of the label's call path
	length           uint64 // bytes of the whole salted body
}

// encode writes the associated data.
func (h *header) encode(w *writer) {
	w.array(shareFields)
	w.fixint(KindShare)
	w.fixint(shareVersion)
	w.bytes(h.uuid)
	w.bytes(h.sid)
	w.bytes(h.epoch)
	w.u32(h.version)
	w.bytes(h.label)
	w.bytes(h.from)
	w.bytes(h.to)
	w.u64(h.seq)
	w.u32(h.chunk)
	w.u32(h.chunks)
	w.bytes(h.th)
	w.u64(h.length)
}

// share is a message taken apart, nothing of it authenticated.
type share struct {
	header
	aad    []byte
	sealed []byte // ciphertext and tag
}

// parseShare reads a message. It refuses what no sender would send, so that chunk numbers and lengths fit together.
func parseShare(b []byte) (m share, ok bool) {
	r := reader{b: b}
	r.array(shareFields)
	if r.fixint() != KindShare || r.fixint() != shareVersion {
		return share{}, false
	}
	m.uuid, m.sid, m.epoch = r.bin(16), r.bin(32), r.bin(16)
	m.version = r.u32()
	m.label = r.binMax(maxLabel)
	m.from, m.to = r.bin(32), r.bin(32)
	m.seq = r.u64()
	m.chunk, m.chunks = r.u32(), r.u32()
	m.th = r.bin(32)
	m.length = r.u64()
	m.aad = b[:r.off]
	m.sealed = r.binMax(chunkSize + tagSize)
	if !r.end() || m.seq == 0 || m.length < saltSize || m.length > 1<<40 {
		return share{}, false
	}
	if m.chunks != chunksOf(m.length) || m.chunk >= m.chunks || len(m.sealed) != chunkLen(m.length, m.chunk)+tagSize {
		return share{}, false
	}
	return m, true
}

func chunksOf(length uint64) uint32 { return uint32((length + chunkSize - 1) / chunkSize) }

// chunkLen is the number of bytes of a body of the given length that are in chunk c.
func chunkLen(length uint64, c uint32) int {
	return int(min(chunkSize, length-uint64(c)*chunkSize))
}

// unit identifies one sealed unit: an honest sender seals each chunk once, so a repetition has the same counter and tag.
type unit struct {
	seq uint64
	tag [2]uint64
}

func (m *share) unit() unit {
	t := m.sealed[len(m.sealed)-tagSize:]
	return unit{seq: m.seq, tag: [2]uint64{binary.BigEndian.Uint64(t), binary.BigEndian.Uint64(t[8:])}}
}
