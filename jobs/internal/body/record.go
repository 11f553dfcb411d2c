package body

import (
	"github.com/weftmpc/weft/jobs/internal/record"
)

// maxName is the most bytes of a name in the object store.
const maxName = 64

// Write appends the body to a record.
func (b Body) Write(w *record.Writer, name string) {
	w.Bytes(name, b.Inline, MaxInline)
	w.Text(name, b.Object, maxName)
	w.I64(b.Size)
}

// ReadBody takes a body off a record.
func ReadBody(r *record.Reader) Body {
	b := Body{Inline: r.Bytes(MaxInline), Object: r.Text(maxName), Size: r.I64()}
	if b.Size < 0 || (b.Object == "" && b.Size != int64(len(b.Inline))) || (b.Object != "" && b.Inline != nil) {
		r.Fail()
		return Body{}
	}
	return b
}
