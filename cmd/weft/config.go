package main

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/gateway"
)

// A configuration is one struct per process. A field's yaml tag is its key, its doc tag is the comment that `init` writes
// beside it, with unit, bounds and default; what the struct holds before a file is read are the defaults. A scalar, or a
// list of words, can be overridden by a variable WEFT_ and the path of its key: hub.url by WEFT_HUB_URL.

const maxConfig = 1 << 20 // bytes of a file

// configError names the place of what is wrong.
type configError struct {
	file string
	line int // 0: unknown
	text string
}

func (e *configError) Error() string {
	if e.line == 0 {
		return e.file + ": " + e.text
	}
	return fmt.Sprintf("%s, line %d: %s", e.file, e.line, e.text)
}

// loadConfig reads a file, then the environment, into the struct that into points to.
func loadConfig(file string, into any, environ []string) error {
	b, err := readConfig(file)
	if err != nil {
		return err
	}
	if err := decode(file, b, into); err != nil {
		return err
	}
	return override(reflect.ValueOf(into).Elem(), environ)
}

// decode reads one YAML document into the struct that into points to. It knows mappings, lists and scalars, which is all
// that people write; what else YAML has (tags, anchors, aliases, merges) makes files that say something else than they show,
// and with some tags the decoder of this library panics (v1.19.2).
func decode(file string, b []byte, into any) error {
	if !shallow(b) {
		return &configError{file: file, text: "its values are nested too deeply for any configuration"}
	}
	tree, err := parser.ParseBytes(b, 0)
	if err != nil {
		return &configError{file: file, text: plain(err)}
	}
	if len(tree.Docs) > 1 {
		return &configError{file: file, text: "it holds several documents; one is expected: keep the first, up to the line ---"}
	}
	if len(tree.Docs) == 0 || tree.Docs[0].Body == nil {
		return nil
	}
	body := tree.Docs[0].Body
	visitor := plainYAML{file: file}
	if ast.Walk(&visitor, body); visitor.err != nil {
		return visitor.err
	}
	if err := checkTree(body, reflect.TypeOf(into).Elem(), file, ""); err != nil {
		return err
	}
	if err := yaml.NodeToValue(body, into, yaml.Strict()); err != nil {
		return &configError{file: file, text: plain(err)}
	}
	return nil
}

// shallow bounds the nesting: the parser of this library (v1.19.2) needs memory that grows with its square.
func shallow(b []byte) bool {
	const most = 20
	open := 0
	for line := range bytes.Lines(b) {
		if indent := len(line) - len(bytes.TrimLeft(line, " \t-?")); indent > 4*most {
			return false
		}
		for _, c := range line {
			switch c {
			case '{', '[':
				open++
			case '}', ']':
				open--
			}
			if open > most {
				return false
			}
		}
	}
	return true
}

// plainYAML visits a YAML document and finds what is more than mappings, lists and scalars.
type plainYAML struct {
	file string
	err  error
}

// Visit implements ast.Visitor.
func (v *plainYAML) Visit(n ast.Node) ast.Visitor {
	switch n.Type() {
	case ast.TagType, ast.AnchorType, ast.AliasType, ast.MergeKeyType, ast.DirectiveType:
		if v.err == nil {
			v.err = &configError{file: v.file, line: n.GetToken().Position.Line,
				text: "a tag (!), an anchor (&) or an alias (*) is not possible here: write the value itself, in quotes if it begins so"}
		}
		return nil
	}
	return v
}

// hasKey says whether a YAML document is a mapping with this key. It is for telling configurations apart, which decode reads.
func hasKey(b []byte, key string) bool {
	if !shallow(b) {
		return false
	}
	tree, err := parser.ParseBytes(b, 0)
	if err != nil || len(tree.Docs) == 0 {
		return false
	}
	values, _ := entries(tree.Docs[0].Body)
	return slices.ContainsFunc(values, func(v *ast.MappingValueNode) bool { return v.Key.GetToken().Value == key })
}

func readConfig(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o002 != 0 {
		return nil, withHint(fmt.Errorf("%s can be changed by everybody on this machine (mode %04o), and with it whom this process believes", file, info.Mode().Perm()),
			"look whether it says what it should, then: chmod 644 %s", file)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxConfig {
		return nil, fmt.Errorf("%s is larger than %d bytes, which no configuration is", file, maxConfig)
	}
	return b, nil
}

// plain is the parser's message without its excerpt of the neighbouring lines.
func plain(err error) string {
	var e yaml.Error
	if errors.As(err, &e) {
		if t := e.GetToken(); t != nil && t.Position != nil {
			return fmt.Sprintf("line %d: %s", t.Position.Line, e.GetMessage())
		}
		return e.GetMessage()
	}
	return err.Error()
}

// knownKeys refuses a key that the struct does not have, naming the nearest one that it has.
func checkTree(n ast.Node, t reflect.Type, file, path string) error {
	wrong := func(want string) error {
		return &configError{file: file, line: n.GetToken().Position.Line, text: fmt.Sprintf("%s: %s is expected here", path, want)}
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n == nil || n.Type() == ast.NullType { // nothing written: the default, or a check later says that it is missing
		return nil
	}
	switch {
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		s, ok := n.(ast.ScalarNode)
		if !ok {
			return wrong("text")
		}
		if err := reflect.New(t).Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s.GetToken().Value)); err != nil {
			return &configError{file: file, line: n.GetToken().Position.Line, text: fmt.Sprintf("%s: %s", path, err)}
		}
	case t == reflect.TypeFor[time.Duration]():
		if s, ok := n.(*ast.StringNode); !ok {
			return wrong("a duration, such as 30s or 5m,")
		} else if _, err := time.ParseDuration(s.Value); err != nil {
			return wrong("a duration, such as 30s or 5m,")
		}
	case t.Kind() == reflect.Bool:
		if n.Type() != ast.BoolType {
			return wrong("true or false")
		}
	case t.Kind() == reflect.String:
		if n.Type() != ast.StringType && n.Type() != ast.LiteralType {
			return wrong("text (in quotes, if it looks like a number)")
		}
	case t.Kind() == reflect.Slice:
		list, ok := n.(*ast.SequenceNode)
		if !ok {
			return wrong("a list")
		}
		for i, v := range list.Values {
			if err := checkTree(v, t.Elem(), file, path+"["+strconv.Itoa(i)+"]"); err != nil {
				return err
			}
		}
	case t.Kind() == reflect.Int:
		if n.Type() != ast.IntegerType {
			return wrong("a whole number")
		}
	case t.Kind() == reflect.Map:
		return checkWords(n, t, file, path, wrong)
	case t.Kind() == reflect.Struct:
		return checkMap(n, t, file, path, wrong)
	}
	return nil
}

// entries are those of a mapping; ok = false for another node.
func entries(n ast.Node) (values []*ast.MappingValueNode, ok bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// checkWords is for names that the file gives itself, each with a value.
func checkWords(n ast.Node, t reflect.Type, file, path string, wrong func(string) error) error {
	values, ok := entries(n)
	if !ok {
		return wrong("a group of names with their values")
	}
	for _, v := range values {
		if v.Key.GetToken().Value == "" {
			return wrong("a name before each colon")
		}
		if err := checkTree(v.Value, t.Elem(), file, join(path, strconv.Quote(v.Key.GetToken().Value))); err != nil {
			return err
		}
	}
	return nil
}

func checkMap(n ast.Node, t reflect.Type, file, path string, wrong func(string) error) error {
	values, ok := entries(n)
	if !ok {
		return wrong("a group of keys")
	}
	for _, v := range values {
		key := v.Key.GetToken()
		f, ok := fieldOf(t, key.Value)
		if !ok {
			return unknownKey(file, key.Position.Line, path, key.Value, t)
		}
		if err := checkTree(v.Value, f.Type, file, join(path, key.Value)); err != nil {
			return err
		}
	}
	return nil
}

// plainKey is a key that somebody may have meant.
var plainKey = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,39}$`)

func unknownKey(file string, line int, path, key string, t reflect.Type) error {
	var known []string
	for f := range fields(t) {
		known = append(known, keyOf(f))
	}
	if !plainKey.MatchString(key) { // random bytes of a secret that was named by mistake can look like YAML
		return withHint(&configError{file: file, line: line, text: "a key that is no plain word"}, "is this a configuration file? known here are: %s", strings.Join(known, ", "))
	}
	e := &configError{file: file, line: line, text: fmt.Sprintf("unknown key %q", join(path, key))}
	if near := nearest(key, known); near != "" {
		return withHint(e, "did you mean %q?", join(path, near))
	}
	return withHint(e, "known here are: %s", strings.Join(known, ", "))
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func keyOf(f reflect.StructField) string {
	key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return key
}

// fields are those with a key.
func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if f := t.Field(i); keyOf(f) != "" && !yield(f) {
				return
			}
		}
	}
}

func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for f := range fields(t) {
		if keyOf(f) == key {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// override sets what a variable of the environment names. A variable that only nearly names a key is refused: it would be
// passed over in silence.
func override(v reflect.Value, environ []string) error {
	settable := map[string]reflect.Value{}
	collect(v, "WEFT", settable)
	var names []string
	for name := range settable {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, "WEFT_") || value == "" { // an empty variable is how many tools unset one
			continue
		}
		target, ok := settable[name]
		if !ok {
			if near := nearest(name, names); near != "" && gateway.Distance(name, near) <= 2 {
				return withHint(fmt.Errorf("the environment has %s, which overrides nothing", name), "did you mean %s?", near)
			}
			continue
		}
		if err := set(target, value); err != nil {
			return fmt.Errorf("the environment's %s: %w", name, err)
		}
	}
	return nil
}

// collect finds the scalars and lists of words below v by the variables that override them.
func collect(v reflect.Value, prefix string, into map[string]reflect.Value) {
	for f := range fields(v.Type()) {
		x, name := v.FieldByIndex(f.Index), prefix+"_"+strings.ToUpper(keyOf(f))
		switch {
		case x.Kind() == reflect.Struct:
			collect(x, name, into)
		case isScalar(x), x.Type() == reflect.TypeFor[[]string]():
			into[name] = x
		}
	}
}

func isScalar(v reflect.Value) bool {
	return v.Kind() == reflect.String || v.Kind() == reflect.Bool || v.Kind() == reflect.Int || v.Type() == reflect.TypeFor[time.Duration]()
}

func set(v reflect.Value, s string) error {
	switch p := v.Addr().Interface().(type) {
	case *string:
		*p = s
	case *bool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", s)
		}
		*p = b
	case *int:
		n, err := strconv.Atoi(s)
		if err != nil {
			return fmt.Errorf("%q is no whole number", s)
		}
		*p = n
	case *time.Duration:
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("%q is no duration, such as 30s or 5m", s)
		}
		*p = d
	case *[]string:
		*p = nil
		for w := range strings.SplitSeq(s, ",") {
			if w = strings.TrimSpace(w); w != "" {
				*p = append(*p, w)
			}
		}
	default:
		panic(fmt.Sprintf("a configuration cannot hold %T", p))
	}
	return nil
}

// beside makes a path in a configuration file relative to that file's folder.
func beside(file string, paths ...*string) {
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(filepath.Dir(file), *p)
		}
	}
}

// writeConfig writes a commented file with every key of the struct c, in its order, and refuses to replace one.
func writeConfig(path, title string, c any) error {
	var b strings.Builder
	comment(&b, "", title+"\n\nAny line below can be overridden by a variable of the environment, except lists of members: hub.url by "+
		"WEFT_HUB_URL. Paths are relative to this file. Durations are written like 30s, 5m or 1h. An unknown key is an error.")
	if err := render(&b, reflect.ValueOf(c), ""); err != nil {
		return err
	}
	back := reflect.New(reflect.TypeOf(c))
	err := decode(path, []byte(b.String()), back.Interface())
	if err == nil && !same(back.Elem(), reflect.ValueOf(c)) {
		err = errReadsBack
	}
	if err != nil {
		return fmt.Errorf("%s is not written: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return withHint(fmt.Errorf("%s is there already and is not overwritten", path), "move it away first, or give another folder with --dir")
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(b.String())
	return errors.Join(err, f.Close())
}

func render(b *strings.Builder, v reflect.Value, indent string) error {
	for f := range fields(v.Type()) {
		x := v.FieldByIndex(f.Index)
		b.WriteByte('\n')
		if doc := f.Tag.Get("doc"); doc != "" {
			comment(b, indent, doc)
		}
		if isGroup(x.Type()) {
			fmt.Fprintf(b, "%s%s:", indent, keyOf(f))
			if err := render(b, x, indent+"  "); err != nil {
				return err
			}
			continue
		}
		text, err := encode(map[string]any{keyOf(f): x.Interface()})
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			b.WriteString(indent + line)
		}
	}
	return nil
}

// encode writes v as YAML that decode reads: also what shallow counts as brackets is none of a text's.
func encode(v any) ([]byte, error) {
	b, err := yaml.MarshalWithOptions(v, yaml.IndentSequence(true),
		yaml.CustomMarshaler(func(s string) ([]byte, error) { return quote(s), nil }),
		yaml.CustomMarshaler(func(f identity.Fingerprint) ([]byte, error) { return []byte(`"` + f.String() + `"`), nil }))
	if err != nil {
		return nil, err
	}
	escape := strings.NewReplacer("{", `\x7b`, "[", `\x5b`, "}", `\x7d`, "]", `\x5d`)
	var out strings.Builder
	for line := range strings.Lines(string(b)) { // a line has one text, and keys have no quotes
		before, text, _ := strings.Cut(line, `"`)
		opened, closed := strings.Count(text, "{")+strings.Count(text, "["), strings.Count(text, "}")+strings.Count(text, "]")
		if opened != closed || opened > 1 {
			line = before + `"` + escape.Replace(text)
		}
		out.WriteString(line)
	}
	return []byte(out.String()), nil
}

// word is text that nobody takes for anything else, but for the few words that have a meaning of their own.
var word = regexp.MustCompile(`^[A-Za-z][0-9A-Za-z]*([-./_][0-9A-Za-z]+)*$`)

// quote is text as a YAML scalar. All but plain words stand in quotes: what the library (v1.19.2) leaves without, it does not
// always read back as the same text, or at all ("? a").
func quote(s string) []byte {
	if word.MatchString(s) && !token.IsNeedQuoted(s) {
		return []byte(s)
	}
	return []byte(strconv.Quote(s))
}

// errReadsBack is why something is not written.
var errReadsBack = errors.New("it would read back as something else: take unusual characters out of its names")

// same compares what two values of one type say: no list and an empty one are the same.
func same(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() && b.IsNil()
		}
		return same(a.Elem(), b.Elem())
	case reflect.Struct:
		for i := range a.NumField() {
			if !same(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Map:
		if a.Len() != b.Len() {
			return false
		}
		for _, k := range a.MapKeys() {
			if v := b.MapIndex(k); !v.IsValid() || !same(a.MapIndex(k), v) {
				return false
			}
		}
		return true
	case reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !same(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	}
	return a.Equal(b)
}

// isGroup reports whether a struct's keys have comments of their own.
func isGroup(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.NumField() > 0 && t.Field(0).Tag.Get("doc") != ""
}

// comment writes text as lines of at most 100 characters.
func comment(b *strings.Builder, indent, text string) {
	for paragraph := range strings.SplitSeq(text, "\n") {
		line := indent + "#"
		for _, w := range strings.Fields(paragraph) {
			if len(line)+1+len(w) > 100 {
				b.WriteString(line + "\n")
				line = indent + "#"
			}
			line += " " + w
		}
		b.WriteString(line + "\n")
	}
}
