package simon_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weftmpc/weft/simon"
)

// compiled are the schemas of descriptions, by name and part.
var compiled sync.Map

// fits fails the test unless text, JSON, meets a schema of a description.
func fits(t testing.TB, what string, schema json.RawMessage, text string) {
	t.Helper()
	if schema == nil {
		t.Fatalf("%s: the description has no schema for it", what)
	}
	s, ok := compiled.Load(what)
	if !ok {
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
		if err != nil {
			t.Fatalf("%s: the schema is no JSON: %v", what, err)
		}
		c := jsonschema.NewCompiler()
		c.DefaultDraft(jsonschema.Draft2020)
		c.UseLoader(nothingElse{})
		if err := c.AddResource("weft:schema", document); err != nil {
			t.Fatal(err)
		}
		if s, err = c.Compile("weft:schema"); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		compiled.Store(what, s)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%s is no JSON: %v", what, err)
	}
	if err := s.(*jsonschema.Schema).Validate(value); err != nil {
		t.Fatalf("%s does not meet its schema: %v\n%s", what, err, text)
	}
}

// nothingElse loads no schema from anywhere.
type nothingElse struct{}

func (nothingElse) Load(string) (any, error) { return nil, errors.New("schemas stand by themselves") }

// conforms checks data, parameters and result of a computation against the description of m.
func conforms(t testing.TB, m simon.Microprotocol, data []string, parameters, result string) {
	t.Helper()
	for _, d := range data {
		fits(t, m.Name+" input", m.Input, d)
	}
	if strings.TrimSpace(parameters) != "" {
		fits(t, m.Name+" parameters", m.Parameters, parameters)
	}
	fits(t, m.Name+" result", m.Result, result)
}

// TestDescriptions: whoever reads a description finds all of it.
func TestDescriptions(t *testing.T) {
	names := map[string]bool{}
	for _, m := range simon.Catalogue() {
		if names[m.Name] {
			t.Errorf("%s is there twice", m.Name)
		}
		names[m.Name] = true
		for what, text := range map[string]string{"summary": m.Summary, "bytes": m.Bytes, "leakage": m.Leakage} {
			if text == "" {
				t.Errorf("%s has no %s", m.Name, what)
			}
		}
		if len(m.Roles) > 0 && m.WithHelper == "" || len(m.Trusting) > 0 && !strings.Contains(m.WithHelper, "ogether with") {
			t.Errorf("%s does not say what a helper reads together with a party", m.Name)
		}
		if !strings.HasSuffix(m.Summary, ".") || !strings.HasSuffix(m.Leakage, ".") {
			t.Errorf("%s: summary and leakage are sentences", m.Name)
		}
		if m.Version < 1 || m.MinParties < 2 || m.Hops < 4 || m.Round <= 0 || m.Limit < m.Round || m.Prepare == nil || m.Run == nil || m.Finish == nil {
			t.Errorf("%s: incomplete: %+v", m.Name, m)
		}
		fits(t, m.Name+" parameters", m.Parameters, "{}")
		fits(t, m.Name+" parameters", m.Parameters, `{"round_ms":5000,"limit_ms":60000}`)
		for part, schema := range map[string]json.RawMessage{"input": m.Input, "parameters": m.Parameters, "result": m.Result} {
			if !json.Valid(schema) {
				t.Errorf("%s: schema of %s is no JSON", m.Name, part)
			}
		}
	}
}
