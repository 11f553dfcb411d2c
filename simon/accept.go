package simon

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/weftmpc/weft/simon/encode"
)

// values are checked parameters by name, as they stand in the canonical bytes: nil, bool, string, int64, json.Number (the
// shortest text of a double), []any.
type values map[string]any

func (v values) has(name string) bool    { return v[name] != nil }
func (v values) whole(name string) int64 { x, _ := v[name].(int64); return x }
func (v values) truth(name string) bool  { x, _ := v[name].(bool); return x }
func (v values) text(name string) string { x, _ := v[name].(string); return x }

// rat is a number's exact decimal value.
func (v values) rat(name string) *big.Rat { return rational(v[name]) }

func rational(v any) *big.Rat {
	switch v := v.(type) {
	case int64:
		return new(big.Rat).SetInt64(v)
	case json.Number:
		if x, ok := new(big.Rat).SetString(v.String()); ok {
			return x
		}
	}
	panic(fmt.Sprintf("simon: %T is no checked number", v))
}

// rats are a list's numbers.
func (v values) rats(name string) []*big.Rat {
	var list []*big.Rat
	for _, x := range v.list(name) {
		list = append(list, rational(x))
	}
	return list
}

func (v values) list(name string) []any { x, _ := v[name].([]any); return x }

// texts are a list's texts.
func (v values) texts(name string) []string {
	var list []string
	for _, x := range v.list(name) {
		s, _ := x.(string)
		list = append(list, s)
	}
	return list
}

// categories are a list's categories.
func (v values) categories(name string) []encode.Category { return categoriesOf(v.list(name)) }

// categoryLists are the categories of a list of lists.
func (v values) categoryLists(name string) [][]encode.Category {
	var lists [][]encode.Category
	for _, x := range v.list(name) {
		inner, _ := x.([]any)
		lists = append(lists, categoriesOf(inner))
	}
	return lists
}

func categoriesOf(list []any) []encode.Category {
	var all []encode.Category
	for _, x := range list {
		c, err := categoryOf(x)
		if err != nil {
			panic(err) // checked
		}
		all = append(all, c)
	}
	return all
}

func categoryOf(v any) (encode.Category, error) {
	switch v := v.(type) {
	case string:
		return encode.NewText(v)
	case bool:
		return encode.NewBoolean(v), nil
	case int64:
		return encode.NewInteger(strconv.AppendInt(nil, v, 10))
	case json.Number:
		return encode.NewInteger([]byte(v.String()))
	}
	return encode.Category{}, errors.New("is no category: give text, a whole number, true or false")
}

// The kinds of parameters. about is for the person who sets it.

// whole is an integer from least to most.
func whole(name string, preset any, least, most int64, about string) parameter {
	return parameter{name, preset, integer(least, most),
		fmt.Sprintf(`"type":"integer","minimum":%d,"maximum":%d`, least, most), about}
}

// truth is true or false.
func truth(name string, preset bool, about string) parameter {
	return parameter{name, preset, func(v any) (any, error) {
		if b, ok := v.(bool); ok {
			return b, nil
		}
		return nil, errors.New("must be true or false")
	}, `"type":"boolean"`, about}
}

// choice is one of the options; the first is the default.
func choice(name, about string, options ...string) parameter {
	list, err := json.Marshal(options)
	if err != nil {
		panic(err)
	}
	return parameter{name, options[0], func(v any) (any, error) {
		if s, ok := v.(string); ok && slices.Contains(options, s) {
			return s, nil
		}
		return nil, fmt.Errorf("must be one of %s", strings.Join(options, ", "))
	}, `"enum":` + string(list), about}
}

// number is a decimal number for which ok holds; wanted says which those are. preset is nil or its text.
func number(name string, preset any, ok func(x *big.Rat) bool, wanted, about string) parameter {
	if s, is := preset.(string); is {
		preset = json.Number(s)
	}
	return parameter{name, preset, func(v any) (any, error) { return decimal(v, ok, wanted) }, `"type":"number"`, about}
}

// decimal checks one number and writes it as canonical parameters do.
func decimal(v any, ok func(x *big.Rat) bool, wanted string) (any, error) {
	n, is := v.(json.Number)
	if !is || len(n) > encode.MaxText {
		return nil, fmt.Errorf("must be %s", wanted)
	}
	x, err := n.Float64()
	if err != nil {
		return nil, fmt.Errorf("must be %s", wanted)
	}
	n = json.Number(encode.AppendFloat(nil, x))
	if !ok(rational(n)) {
		return nil, fmt.Errorf("must be %s", wanted)
	}
	return n, nil
}

// level is a probability strictly between 0 and 1, for intervals.
func level() parameter {
	return number("conf_level", "0.95", func(x *big.Rat) bool { return x.Sign() > 0 && x.Cmp(big.NewRat(1, 1)) < 0 },
		"a number between 0 and 1, such as 0.95", "the confidence level of all intervals")
}

// maxListed bounds the lists in parameters.
const maxListed = 1000

// listed is a list of least to maxListed values of one kind, all different.
func listed(name string, least int, check func(v any) (any, error), items, about string) parameter {
	return parameter{name, nil, func(v any) (any, error) { return checkList(v, least, check) },
		fmt.Sprintf(`"type":"array","minItems":%d,"maxItems":%d,"uniqueItems":true,"items":%s`, least, maxListed, items), about}
}

func checkList(v any, least int, check func(v any) (any, error)) (any, error) {
	in, ok := v.([]any)
	if !ok && least <= 1 && v != nil { // R writes a list of one value as the value
		in, ok = []any{v}, true
	}
	if !ok || len(in) < least || len(in) > maxListed {
		return nil, fmt.Errorf("must be a list of %d to %d values", least, maxListed)
	}
	out := make([]any, 0, len(in))
	seen := map[any]int{}
	for i, x := range in {
		y, err := check(x)
		if err != nil {
			return nil, fmt.Errorf("at index %d %w", i, err)
		}
		if before, twice := seen[y]; twice {
			return nil, fmt.Errorf("has the same value at %d and %d", before, i)
		}
		seen[y] = i
		out = append(out, y)
	}
	return out, nil
}

const categoryItems = `{"type":["string","integer","boolean"]}`

// groups is a list of at least least categories: the public names of groups.
func groups(name string, least int, about string) parameter {
	return listed(name, least, checkCategory, categoryItems, about)
}

// checkCategory checks one category in parameters. Beyond 2^53 the parameters' numbers are not exact.
func checkCategory(v any) (any, error) {
	c, err := categoryOf(v)
	if err != nil {
		return nil, err
	}
	switch c.Kind {
	case encode.KindText:
		return c.Text, nil
	case encode.KindBoolean:
		return v, nil
	}
	const most = 1 << 53
	n, err := strconv.ParseInt(c.Text, 10, 64)
	if err != nil || n > most || n < -most {
		return nil, errors.New("is a whole number beyond 2^53: give it as text")
	}
	return n, nil
}

// names is a list of at least least different texts.
func names(name string, least int, about string) parameter {
	return listed(name, least, func(v any) (any, error) {
		const most = 100
		s, ok := v.(string)
		if !ok || s == "" || len(s) > most {
			return nil, fmt.Errorf("must be text of 1 to %d bytes", most)
		}
		return s, nil
	}, `{"type":"string","minLength":1,"maxLength":100}`, about)
}

// outputs is a list of fields of the result.
func outputs(all []string) parameter {
	list, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return listed("outputs", 1, func(v any) (any, error) {
		if s, ok := v.(string); ok && slices.Contains(all, s) {
			return s, nil
		}
		return nil, errors.New("is no field of the result: the microprotocol's description lists them")
	}, `{"enum":`+string(list)+`}`, "the fields of the result that are wanted, all by default; what they do not need is not sent")
}

// unsuppressed is the parameter for the least count that a result may show. Hiding smaller counts before anybody sees them
// needs comparisons of secrets, which this version does not have: it refuses rather than hiding them afterwards.
func unsuppressed() parameter {
	return parameter{"suppress_below", int64(0), func(v any) (any, error) {
		if n, err := integer(0, 0)(v); err == nil {
			return n, nil
		}
		return nil, errors.New("can only be 0: this version cannot hide small counts before the parties see them")
	}, `"const":0`, "the least count that is shown; hiding smaller ones is not possible yet"}
}

// mostSuppressed bounds suppress_below, and suppressedCells the cells of a table whose small counts are hidden: the dealer
// sends 2 kB for each.
const (
	mostSuppressed  = 1000
	suppressedCells = 10_000
)

// suppressible is the parameter for the least count that a result may show.
func suppressible() parameter {
	return whole("suppress_below", nil, 0, mostSuppressed,
		"the least count that is shown; smaller ones become null before anybody sees them, like 0, and enter no sum; 0 shows all; by default as this party's policy asks")
}

// schemaOf is the JSON schema of an object with these parameters.
func schemaOf(known []parameter) json.RawMessage {
	b := []byte(`{"type":"object","additionalProperties":false,"properties":{`)
	for i, p := range known {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, p.name), ":{"...)
		b = append(b, p.schema...)
		if p.preset != nil {
			b = append(b, `,"default":`...)
			var err error
			if b, err = canonical(b, p.preset); err != nil {
				panic(err)
			}
		}
		b = append(appendString(append(b, `,"description":`...), p.about), '}')
	}
	return append(b, `}}`...)
}
