package simon

import (
	"encoding/json"
	"fmt"
	"slices"
)

// field is a member of a result that is one number: which opened sums it needs, and how it follows from them.
type field[M any] struct {
	name  string
	about string
	needs []int
	value func(m M) (v any, why string) // a reason where there is no value
}

// fields are the members of a result in their order; the first is the number of samples, which no choice of outputs leaves
// out. Sums have numbers; that of samples is 0.
type fields[M any] []field[M]

func (f fields[M]) names() []string {
	var names []string
	for _, x := range f {
		names = append(names, x.name)
	}
	return names
}

// wanted says whether a member is among the outputs.
func (f fields[M]) wanted(v values, name string) bool {
	return name == f[0].name || !v.has("outputs") || slices.Contains(v.texts("outputs"), name)
}

// sums lists the sums that the wanted members need, ascending: nothing else is sent.
func (f fields[M]) sums(v values) []int {
	sums := []int{0}
	for _, x := range f {
		if f.wanted(v, x.name) {
			sums = append(sums, x.needs...)
		}
	}
	slices.Sort(sums)
	return slices.Compact(sums)
}

// result writes the wanted members.
func (f fields[M]) result(v values, m M) object {
	var o object
	for _, x := range f {
		if !f.wanted(v, x.name) {
			continue
		}
		if value, why := x.value(m); why != "" {
			o.null(x.name, why)
		} else {
			o.put(x.name, value)
		}
	}
	return o
}

func (f fields[M]) schema() json.RawMessage {
	b := []byte(`{"type":"object","properties":{`)
	for i, x := range f {
		kind := `["number","null"]`
		if i == 0 {
			kind = `"integer"`
		}
		b = fmt.Appendf(appendString(b, x.name), `:{"type":%s,"description":`, kind)
		b = append(appendString(b, x.about), "},"...)
	}
	return fmt.Appendf(b, `%s},"required":["%s"]}`, notesSchema, f[0].name)
}
