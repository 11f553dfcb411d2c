package simon

import (
	"slices"
	"strings"
)

// values reads one value, or a list of values, and calls value with the first item of each, which reads the rest of it. An
// object's first item is its brace, which is not consumed.
func (n *numberReader) values(value func(at place, it item) error) error {
	top := place{-1, -1}
	it, err := n.next()
	if err != nil {
		return err
	}
	if it == itemOpen {
		err = n.list(top, func(i int, it item) error { return value(place{i, -1}, it) })
	} else {
		err = value(top, it)
	}
	if err != nil {
		return err
	}
	if it, err = n.next(); err != nil {
		return err
	}
	if it != itemEnd {
		return top.bad("has more text after the value: give one list")
	}
	return nil
}

// object reads an object whose brace comes next, and calls member with the first item of each member, which reads the rest of
// it. Members have known names, each at most once.
func (n *numberReader) object(at place, known []string, member func(name string, it item) error) error {
	n.at++ // the brace
	var seen []string
	for {
		it, err := n.next()
		if err != nil {
			return err
		}
		if it == itemOther && len(seen) == 0 && n.take('}') {
			return nil
		}
		name := n.text
		switch {
		case it != itemText || !n.take(':'):
			return at.bad("is not valid JSON")
		case !slices.Contains(known, name):
			return at.bad("has the member %q; known are %s", shorten(name), strings.Join(known, ", "))
		case slices.Contains(seen, name):
			return at.bad("has the member %q twice", name)
		}
		seen = append(seen, name)
		if it, err = n.next(); err != nil {
			return err
		}
		if err := member(name, it); err != nil {
			return err
		}
		switch it, err := n.next(); {
		case err != nil:
			return err
		case it == itemComma:
		case it == itemOther && n.take('}'):
			return nil
		default:
			return at.bad("is not valid JSON")
		}
	}
}

// take consumes the character c, after space, if it comes next.
func (n *numberReader) take(c byte) bool {
	for {
		b, ok := n.peek()
		switch {
		case !ok:
			return false
		case b == c:
			n.at++
			return true
		case b != ' ' && b != '\t' && b != '\r' && b != '\n':
			return false
		}
		n.at++
	}
}
