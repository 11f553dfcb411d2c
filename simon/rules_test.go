package simon_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoGoroutines: a node calls protocols and Finish with a recover around them. A panic in a goroutine that they start
// would end the node, with all its computations. Two places may: the evaluation of many comparisons in simon/fss and the
// multiplications of many elements in simon/psi use all cores, wait for their goroutines, and raise their panics in the
// goroutine of their caller.
func TestNoGoroutines(t *testing.T) {
	files := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Name() == "simontest" { // plays parties, in tests
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files++
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		found := goroutines(f)
		if path == filepath.Join("fss", "fan.go") || path == filepath.Join("psi", "fan.go") {
			if len(found) != 1 {
				t.Errorf("%s: starts goroutines in %d places, not in one", path, len(found))
			}
			return nil
		}
		for _, what := range found {
			t.Errorf("%s: %s", path, what)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Errorf("only %d files were looked at", files)
	}
	f, err := parser.ParseFile(token.NewFileSet(), "", `package p
		import ("golang.org/x/sync/errgroup"; "time")
		func f() { go f(); wg.Go(f); time.AfterFunc(1, f) }`, 0)
	if err != nil {
		t.Fatal(err)
	}
	if found := goroutines(f); len(found) != 4 {
		t.Errorf("the rule finds %q", found)
	}
}

// goroutines are the places of a file that start some: the statement, methods called Go, timers, and package errgroup.
func goroutines(f *ast.File) []string {
	var found []string
	for _, i := range f.Imports {
		if strings.Contains(i.Path.Value, "errgroup") {
			found = append(found, "imports "+i.Path.Value)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, "has a go statement")
		case *ast.SelectorExpr:
			if n.Sel.Name == "Go" || n.Sel.Name == "AfterFunc" {
				found = append(found, "calls "+n.Sel.Name)
			}
		}
		return true
	})
	return found
}
