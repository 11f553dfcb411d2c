package simon

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"

	"github.com/weftmpc/weft/simon/encode"
)

// object is a result that is being written: a JSON object whose members keep their order, and notes about those that are
// null.
type object struct {
	members []member
	notes   []member
}

type member struct {
	name  string
	value any
}

// put adds a member. value is nil, a bool, string, int, int64, uint64, float64, *big.Int, *big.Rat, *big.Float,
// encode.Category, []any, an object, or JSON itself. Rational and floating numbers are rounded once, to the nearest double;
// integral rationals keep all digits. What no double holds is null.
func (o *object) put(name string, value any) { o.members = append(o.members, member{name, value}) }

// null adds a member that does not exist, and why.
func (o *object) null(name, why string) {
	o.put(name, nil)
	o.note(name, why)
}

// note says something of a member in the result's member notes.
func (o *object) note(name, why string) { o.notes = append(o.notes, member{name, why}) }

// json is the result, with its notes last.
func (o object) json() json.RawMessage {
	if o.notes != nil {
		o.put("notes", object{members: o.notes})
	}
	return appendValue(nil, o)
}

func appendValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case string:
		return appendString(dst, v)
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case uint64:
		return strconv.AppendUint(dst, v, 10)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return append(dst, "null"...)
		}
		return encode.AppendFloat(dst, v)
	case *big.Int:
		return v.Append(dst, 10)
	case *big.Rat:
		if v.IsInt() && v.Num().BitLen() < 256 {
			return v.Num().Append(dst, 10)
		}
		x, _ := v.Float64()
		return appendValue(dst, x)
	case *big.Float:
		x, _ := v.Float64()
		return appendValue(dst, x)
	case encode.Category:
		return v.AppendJSON(dst)
	case json.RawMessage:
		return append(dst, v...)
	case []any:
		dst = append(dst, '[')
		for i, x := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, x)
		}
		return append(dst, ']')
	case object:
		dst = append(dst, '{')
		for i, m := range v.members {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendString(dst, m.name), ':')
			dst = appendValue(dst, m.value)
		}
		return append(dst, '}')
	}
	panic(fmt.Sprintf("simon: no JSON for %T", v))
}

// scaled is an integer in units of 10^-digits as a rational number.
func scaled(q *big.Int, digits int) *big.Rat {
	return new(big.Rat).SetFrac(q, powerOfTen(digits))
}

func powerOfTen(digits int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
}
