package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// documented is openapi.yaml as the tests hold requests and answers against it.
var documented = sync.OnceValues(func() (routers.Router, error) {
	for _, media := range []string{"text/event-stream", "text/html", "application/yaml"} {
		openapi3filter.RegisterBodyDecoder(media, openapi3filter.FileBodyDecoder)
	}
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, err
	}
	return legacy.NewRouter(doc)
})

// documentedRequest is what openapi.yaml has against a request; header is "Name: value" or empty.
func documentedRequest(t *testing.T, method, path, body, header string) error {
	t.Helper()
	router, err := documented()
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(method, path, strings.NewReader(body))
	if err != nil {
		return err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if name, value, ok := strings.Cut(header, ": "); ok {
		r.Header.Set(name, value)
	}
	route, params, err := router.FindRoute(r)
	if err != nil {
		return err
	}
	return openapi3filter.ValidateRequest(t.Context(), &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}})
}

// checkAnswer holds an answer of any test against openapi.yaml. What is at no documented path is an error of the right
// kind all the same.
func checkAnswer(t testing.TB, r *http.Request, res *http.Response, body []byte) {
	if err := answerFault(r, res, body); err != nil {
		t.Error(err)
	}
}

// answerFault is what openapi.yaml has against an answer.
func answerFault(r *http.Request, res *http.Response, body []byte) error {
	router, err := documented()
	if err != nil {
		return err
	}
	at, err := http.NewRequest(r.Method, "/"+strings.TrimLeft(r.URL.RequestURI(), "/"), http.NoBody)
	if err != nil || r.Method == http.MethodOptions || r.Method == http.MethodHead {
		return nil
	}
	_ = cleanPath(at) // as the gateway does
	route, params, err := router.FindRoute(at)
	if err != nil {
		if res.StatusCode < 400 {
			return fmt.Errorf("%s %s: %d, and no such path is documented", r.Method, r.URL.Path, res.StatusCode)
		}
		return nil
	}
	media, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	if problem := media == "application/problem+json"; problem != (res.StatusCode >= 400 && isV1(at)) {
		return fmt.Errorf("%s %s: %d as %s", r.Method, r.URL.Path, res.StatusCode, media)
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: at, PathParams: params, Route: route, Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}},
		Status:                 res.StatusCode, Header: res.Header, Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	if media == "application/json" || media == "application/problem+json" {
		if !json.Valid(body) {
			return fmt.Errorf("%s %s: %d without JSON: %.100q", r.Method, r.URL.Path, res.StatusCode, body)
		}
	}
	if media == "application/problem+json" {
		if err := problemFault(r, res.StatusCode, body); err != nil {
			return err
		}
	}
	in.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(context.Background(), in); err != nil {
		return fmt.Errorf("%s %s: %d %.300s: not as documented: %w", r.Method, r.URL.Path, res.StatusCode, body, err)
	}
	return nil
}

// problemFault wants the type to be known, and to have the status.
func problemFault(r *http.Request, status int, body []byte) error {
	var d problemDetails
	if err := json.Unmarshal(body, &d); err != nil {
		return fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, err)
	}
	name, ours := strings.CutPrefix(d.Type, problemURI)
	p := typesByName[name]
	switch {
	case d.Status != status || !ours && typesByName[typeName(d.Reason)] != nil || ours && (p == nil || p.title != d.Title || !slices.Contains(p.status, status)):
		return fmt.Errorf("%s %s: %d %s is not of its type", r.Method, r.URL.Path, status, body)
	case d.Instance != "" && !strings.HasPrefix(d.Instance, "/v1/jobs/"):
		return fmt.Errorf("%s %s: instance %s", r.Method, r.URL.Path, d.Instance)
	}
	return nil
}

// Every type of problem that the code knows stands in README.md's table, and nothing else does.
func TestProblemTypesAreDocumented(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, p := range manualProblems() {
		want.WriteString("| `" + p.URI + "` | " + p.Statuses + " | " + p.Title + " | " + p.Advice + " |\n")
	}
	const head = "| type | status | title | what to do |\n|---|---|---|---|\n"
	_, table, ok := strings.Cut(string(readme), head)
	table, _, end := strings.Cut(table, "\n\n")
	if !ok || !end || table+"\n" != want.String() {
		t.Errorf("README.md's table of problems is not that of the code, which is\n%s%s", head, want.String())
	}
}

// Every reason that an error of this gateway or a job of the node has is the name of a type, or only the representation
// API has it.
func TestReasonsHaveTypes(t *testing.T) {
	elsewhere := map[string]bool{ // reasons on the representation API alone, and those that leave the process nowhere
		"unknown-representation": true, "unknown-attribute": true, "unknown-object": true, "unknown-task": true, "private-attribute": true,
		"no-function": true, "no-value": true, "one-value": true, "wrong-arguments": true, "job-gone": true, "started": true,
		"expired-representation": true, "unknown-key": true, "microservice": true, "microservice-away": true, "microservice-late": true,
	}
	seen := map[string]bool{}
	for _, dir := range []string{".", "../node"} {
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
				continue
			}
			b, err := os.ReadFile(dir + "/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range reasonPattern.FindAllStringSubmatch(string(b), -1) {
				seen[m[1]] = true
			}
		}
	}
	for reason := range seen {
		if name := typeName(reason); typesByName[name] == nil && !elsewhere[reason] && !strings.HasSuffix(reason, "-") {
			t.Errorf("reason %s has no type: add one to problemTypes and to README.md", reason)
		}
		delete(elsewhere, reason)
	}
	for _, p := range problemTypes {
		if !seen[p.name] && p.name != "invalid-field" && p.name != "failed" {
			t.Errorf("nothing has the reason %s", p.name)
		}
	}
	if len(seen) < 40 || len(elsewhere) > 0 {
		t.Errorf("%d reasons; not found: %v", len(seen), elsewhere)
	}
}

// reasonPattern finds the reasons in the source.
var reasonPattern = regexp.MustCompile(`(?:fail\(http\.\w+, |noFile\(|Reason: |jobError\{\d+, |\bp\(\d+, )"([a-z-]+)"`)
