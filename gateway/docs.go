package gateway

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"

	"github.com/weftmpc/weft/gateway/representation"
)

//go:embed page
var pageFiles embed.FS

// pages are what people read in a browser. They hold no script and load nothing: their one style stands in them, and the
// policy names it by its hash.
type pages struct {
	docs     []byte
	problems map[string][]byte // by the type's name
	policy   string            // Content-Security-Policy
}

// documentation makes the pages at the first request for one.
var documentation = sync.OnceValues(func() (pages, error) { return newPages(openAPI) })

// showDocs answers with openapi.yaml as a page.
func (g *Gateway) showDocs(w http.ResponseWriter, _ *http.Request) error {
	p, err := documentation()
	if err != nil {
		return err
	}
	return p.write(w, p.docs)
}

// showProblem explains a type of problem: where its URI leads.
func (g *Gateway) showProblem(w http.ResponseWriter, r *http.Request) error {
	p, err := documentation()
	if err != nil {
		return err
	}
	name := r.PathValue("name")
	if p.problems[name] == nil {
		return fail(http.StatusNotFound, "unknown-path", "there is no type of problem called %s; /docs lists them", representation.Show(name))
	}
	return p.write(w, p.problems[name])
}

func (p pages) write(w http.ResponseWriter, b []byte) error {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy)
	h.Set("Referrer-Policy", "no-referrer")
	return write(w, b)
}

func newPages(document []byte) (pages, error) {
	style, err := pageFiles.ReadFile("page/style.css")
	if err != nil {
		return pages{}, err
	}
	style = bytes.TrimSpace(style)
	sum := sha256.Sum256(style)
	p := pages{
		problems: map[string][]byte{},
		policy:   "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	}
	t, err := template.ParseFS(pageFiles, "page/*.html")
	if err == nil {
		_, err = t.New("style").Parse(string(style))
	}
	if err != nil {
		return p, fmt.Errorf("the templates of the documentation: %w", err)
	}
	var d any
	if err := yaml.UnmarshalWithOptions(document, &d, yaml.UseOrderedMap()); err != nil {
		return p, fmt.Errorf("openapi.yaml: %w", err)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "docs.html", readManual(d)); err != nil {
		return p, fmt.Errorf("the documentation: %w", err)
	}
	p.docs = bytes.Clone(b.Bytes())
	for _, problem := range manualProblems() {
		b.Reset()
		if err := t.ExecuteTemplate(&b, "problem.html", problem); err != nil {
			return p, fmt.Errorf("the documentation: %w", err)
		}
		p.problems[problem.Name] = bytes.Clone(b.Bytes())
	}
	return p, nil
}

// manual is an OpenAPI document as the page shows it.
type manual struct {
	Title, Version, Summary string
	Text                    []string // paragraphs
	Tags                    []manualTag
	Schemas                 []manualSchema
	Problems                []manualProblem
}

type manualTag struct {
	Name, Text string
	Operations []manualOperation
}

type manualOperation struct {
	ID, Method, Path, Summary string
	Text                      []string
	Parameters                []manualField
	Body                      *manualBody
	Answers                   []manualAnswer
}

type manualBody struct {
	Type    []typeWord
	Example string
}

type manualAnswer struct {
	Status, Media, Text string
	Type                []typeWord
}

// manualField is a parameter or a member of an object.
type manualField struct {
	Name, In, Text string
	Required       bool
	Type           []typeWord
}

type manualSchema struct {
	Name, Text string
	Type       []typeWord
	Fields     []manualField
}

type manualProblem struct{ Name, URI, Title, Statuses, Advice string }

// typeWord is a part of a type's description: words, or the name of a schema.
type typeWord struct{ Word, Schema string }

func manualProblems() []manualProblem {
	list := make([]manualProblem, len(problemTypes))
	for i, t := range problemTypes {
		var statuses []string
		for _, s := range t.status {
			statuses = append(statuses, strconv.Itoa(s))
		}
		list[i] = manualProblem{t.name, problemURI + t.name, t.title, strings.Join(statuses, " or "), t.advice}
	}
	return list
}

// node is a place in the document.
type node struct{ root, v any }

// at follows members by name, and what they refer to.
func (n node) at(path ...string) node {
	for _, name := range path {
		m, _ := n.v.(yaml.MapSlice)
		n.v = nil
		for _, item := range m {
			if item.Key == name {
				n.v = item.Value
			}
		}
		if ref := n.ref(); ref != "" {
			n = node{n.root, n.root}.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		}
	}
	return n
}

// ref is what the node refers to, "" for one that stands for itself.
func (n node) ref() string {
	m, _ := n.v.(yaml.MapSlice)
	if len(m) == 1 && m[0].Key == "$ref" {
		ref, _ := m[0].Value.(string)
		return ref
	}
	return ""
}

func (n node) text() string {
	if n.v == nil {
		return ""
	}
	return strings.TrimSpace(fmt.Sprint(n.v))
}

// members are those of an object, in the document's order; those that are references stay such.
func (n node) members() (names []string, values []node) {
	m, _ := n.v.(yaml.MapSlice)
	for _, item := range m {
		names, values = append(names, fmt.Sprint(item.Key)), append(values, node{n.root, item.Value})
	}
	return names, values
}

func (n node) items() (list []node) {
	all, _ := n.v.([]any)
	for _, v := range all {
		list = append(list, node{n.root, v})
	}
	return list
}

// here is the node itself, or what it refers to.
func (n node) here() node {
	if ref := n.ref(); ref != "" {
		return node{n.root, n.root}.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
	return n
}

func paragraphs(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n\n")
}

func readManual(document any) manual {
	root := node{document, document}
	info := root.at("info")
	m := manual{
		Title: info.at("title").text(), Version: info.at("version").text(), Summary: info.at("summary").text(),
		Text: paragraphs(info.at("description").text()), Problems: manualProblems(),
	}
	paths, items := root.at("paths").members()
	for _, tag := range root.at("tags").items() {
		t := manualTag{Name: tag.at("name").text(), Text: tag.at("description").text()}
		for i, path := range paths {
			methods, operations := items[i].members()
			for k, op := range operations {
				if tags := op.at("tags").items(); len(tags) == 1 && tags[0].text() == t.Name {
					t.Operations = append(t.Operations, readOperation(strings.ToUpper(methods[k]), path, items[i], op))
				}
			}
		}
		m.Tags = append(m.Tags, t)
	}
	names, schemas := root.at("components", "schemas").members()
	for i, s := range schemas {
		m.Schemas = append(m.Schemas, manualSchema{names[i], s.at("description").text(), typeOf(s), fieldsOf(s)})
	}
	return m
}

func readOperation(method, path string, item, op node) manualOperation {
	o := manualOperation{
		ID: op.at("operationId").text(), Method: method, Path: path, Summary: op.at("summary").text(), Text: paragraphs(op.at("description").text()),
	}
	for _, p := range append(item.at("parameters").items(), op.at("parameters").items()...) {
		p = p.here()
		o.Parameters = append(o.Parameters, manualField{
			p.at("name").text(), p.at("in").text(), p.at("description").text(), p.at("required").text() == "true", typeAt(p, "schema"),
		})
	}
	if body := op.at("requestBody", "content", "application/json"); body.v != nil {
		o.Body = &manualBody{Type: typeAt(body, "schema"), Example: example(body.at("example"))}
	}
	statuses, answers := op.at("responses").members()
	for i, a := range answers {
		a = a.here()
		out := manualAnswer{Status: statuses[i], Text: a.at("description").text()}
		if media, contents := a.at("content").members(); len(media) > 0 {
			out.Media, out.Type = media[0], typeAt(contents[0], "schema")
		}
		o.Answers = append(o.Answers, out)
	}
	return o
}

// typeAt is the type of the schema that is a member of n; a reference is shown as such.
func typeAt(n node, name string) []typeWord {
	names, values := n.members()
	for i := range names {
		if names[i] == name {
			return typeOf(values[i])
		}
	}
	return nil
}

// typeOf describes a schema in a few words.
func typeOf(s node) []typeWord {
	if ref := s.ref(); ref != "" {
		return []typeWord{{Schema: ref[strings.LastIndexByte(ref, '/')+1:]}}
	}
	word := func(text string) []typeWord { return []typeWord{{Word: text}} }
	for _, choice := range []string{"oneOf", "anyOf"} {
		var words []typeWord
		for i, one := range s.at(choice).items() {
			if i > 0 {
				words = append(words, typeWord{Word: " or "})
			}
			words = append(words, typeOf(one)...)
		}
		if len(words) > 0 && s.at("type").v == nil {
			return words
		}
	}
	switch values := s.at("enum").items(); {
	case len(values) > 0:
		var all []string
		for _, v := range values {
			all = append(all, v.text())
		}
		return word(strings.Join(all, ", "))
	case s.at("const").v != nil:
		return word(s.at("const").text())
	}
	kind := s.at("type").text()
	if list := s.at("type").items(); len(list) > 0 {
		var all []string
		for _, v := range list {
			all = append(all, v.text())
		}
		kind = strings.Join(all, " or ")
	}
	if kind == "array" {
		if items := typeAt(s, "items"); len(items) > 0 {
			return append(word("list of "), items...)
		}
		return word("list")
	}
	if kind == "" {
		kind = "any value"
	}
	return word(kind)
}

func fieldsOf(s node) []manualField {
	required := map[string]bool{}
	for _, r := range s.at("required").items() {
		required[r.text()] = true
	}
	var list []manualField
	names, schemas := s.at("properties").members()
	for i, f := range schemas {
		text := ""
		if f.ref() == "" {
			text = f.at("description").text()
		}
		list = append(list, manualField{Name: names[i], Text: text, Required: required[names[i]], Type: typeOf(f)})
	}
	return list
}

// example is a value of the document as JSON.
func example(n node) string {
	if n.v == nil {
		return ""
	}
	b, err := json.MarshalIndent(plain(n.v), "", "  ")
	if err != nil {
		return ""
	}
	return string(b)
}

// plain is a value of the document with members in the order of their names, as encoding/json writes maps.
func plain(v any) any {
	switch v := v.(type) {
	case yaml.MapSlice:
		m := map[string]any{}
		for _, item := range v {
			m[fmt.Sprint(item.Key)] = plain(item.Value)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plain(v[i])
		}
		return list
	}
	return v
}
