package table

// Number returns a decimal number as JSON writes it. Text that is a number of JSON stays as it is, digit by digit; what
// other programs write, like +5, 007, .5 or 5., loses or gains the characters that JSON forbids or wants, and no value
// changes.
func Number(s string) (string, bool) {
	b, ok := AppendNumber(nil, s)
	return string(b), ok
}

// AppendNumber appends what Number returns. Where s is no number it appends nothing.
func AppendNumber(out []byte, s string) (_ []byte, ok bool) {
	rest, negative := s, false
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		negative, rest = rest[0] == '-', rest[1:]
	}
	whole, rest := digits(rest)
	fraction := ""
	if rest != "" && rest[0] == '.' {
		fraction, rest = digits(rest[1:])
	}
	if whole == "" && fraction == "" {
		return out, false
	}
	if rest != "" {
		if rest[0] != 'e' && rest[0] != 'E' {
			return out, false
		}
		sign := rest[1:]
		if sign != "" && (sign[0] == '+' || sign[0] == '-') {
			sign = sign[1:]
		}
		if power, end := digits(sign); power == "" || end != "" {
			return out, false
		}
	}
	for len(whole) > 1 && whole[0] == '0' {
		whole = whole[1:]
	}
	if whole == "" {
		whole = "0"
	}
	if negative {
		out = append(out, '-')
	}
	out = append(out, whole...)
	if fraction != "" {
		out = append(append(out, '.'), fraction...)
	}
	return append(out, rest...), true
}

// digits splits s behind its leading digits.
func digits(s string) (head, tail string) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return s[:i], s[i:]
}
