package gateway

import (
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// TestOpenAPIMatchesTheRoutes checks that the document is valid and has exactly the routes that are served.
func TestOpenAPIMatchesTheRoutes(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var documented, served []string
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			documented = append(documented, method+" "+path)
			guarded := permissions[method+" "+path][0] == no
			for _, code := range []int{401, 403, 429} {
				if (op.Responses.Status(code) != nil) != guarded {
					t.Errorf("%s %s: guarded %v, and %d is documented: %v", method, path, guarded, code, !guarded)
				}
			}
			if (op.Security != nil) != !guarded {
				t.Errorf("%s %s: guarded %v, and it says so: %v", method, path, guarded, guarded)
			}
			if op.OperationID == "" || op.Summary == "" || len(op.Tags) != 1 {
				t.Errorf("%s %s lacks operationId, summary or tag", method, path)
			}
			withBody := method == "POST" && path != "/v1/jobs/{id}/cancel" || method == "PUT" || method == "PATCH"
			if (op.RequestBody != nil) != withBody {
				t.Errorf("%s %s: request body documented %v", method, path, op.RequestBody != nil)
			}
		}
	}
	for _, r := range routes() {
		served = append(served, r.method+" "+r.path)
	}
	slices.Sort(documented)
	slices.Sort(served)
	if !slices.Equal(documented, served) {
		t.Errorf("documented %v\nserved     %v", documented, served)
	}
}
