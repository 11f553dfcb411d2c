package test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/weftmpc/weft/"

// rooms says which rooms the code of each room may import. A room's own sub-packages are always allowed.
var rooms = map[string][]string{
	"cmd":         {"gateway", "node", "coordinator", "jobs", "broker", "simon"},
	"gateway":     {"jobs", "simon"},
	"node":        {"simon", "coordinator", "jobs", "broker"},
	"coordinator": {"broker"},
	"jobs":        {"broker"},
	"broker":      {},
	"simon":       {},
	"test":        {"gateway", "node", "coordinator", "jobs", "broker", "simon", "cmd"},
}

type goPackage struct {
	ImportPath, Dir                    string
	Imports, TestImports, XTestImports []string
	GoFiles                            []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	d := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list found %d packages", len(all))
	}
	return all
}

func room(importPath string) string {
	room, _, _ := strings.Cut(strings.TrimPrefix(importPath, module), "/")
	return room
}

// forbidden explains why a package must not import another one, or is empty.
func forbidden(from, to string) string {
	if !strings.HasPrefix(to, module) || room(from) == room(to) {
		return ""
	}
	allowed, known := rooms[room(from)]
	if !known {
		return "is in a room that the plan does not have"
	}
	if !slices.Contains(allowed, room(to)) {
		return "must not import " + to
	}
	return ""
}

func TestRoomsImportOnlyWhatThePlanAllows(t *testing.T) {
	for _, p := range packages(t) {
		for _, i := range p.Imports {
			if why := forbidden(p.ImportPath, i); why != "" {
				t.Errorf("%s %s", p.ImportPath, why)
			}
		}
		switch base := filepath.Base(p.ImportPath); base {
		case "util", "utils", "common", "helpers", "types", "base":
			t.Errorf("%s: a package is named after what it does, not %s", p.ImportPath, base)
		}
	}
	if forbidden(module+"simon/ring", module+"broker") == "" || forbidden(module+"gateway", module+"node/session") == "" {
		t.Error("the rule does not forbid what it should")
	}
}

// telling says which rooms make spans, with the plain interface; all else of OpenTelemetry is cmd's.
var telling = map[string][]string{
	"gateway": {"attribute", "codes", "trace", "propagation"},
	"node":    {"attribute", "codes", "trace"},
}

func TestTracesAreConfined(t *testing.T) {
	const root = "go.opentelemetry.io/"
	makes := map[string]bool{}
	for _, p := range packages(t) {
		in := room(p.ImportPath)
		for _, i := range p.Imports {
			name, foreign := strings.CutPrefix(i, root)
			if !foreign {
				continue
			}
			makes[in] = true
			if in != "cmd" && !slices.Contains(telling[in], strings.TrimPrefix(name, "otel/")) {
				t.Errorf("%s imports %s", p.ImportPath, i)
			}
		}
	}
	for _, in := range []string{"cmd", "gateway", "node"} {
		if !makes[in] {
			t.Errorf("%s imports nothing of %s: this test looks in the wrong place", in, root)
		}
	}
}

// impure is what protocols must not reach for: they get randomness, peers and time from their Session.
var impure = []string{
	"net", "os", "crypto/rand", "math/rand", "math/rand/v2", "log", "log/slog", "syscall", "path/filepath", "io/ioutil", "github.com/nats-io/",
}

func TestSimonIsPure(t *testing.T) {
	for _, p := range packages(t) {
		if room(p.ImportPath) != "simon" || strings.HasSuffix(p.ImportPath, "/simontest") {
			continue
		}
		for _, i := range p.Imports {
			for _, bad := range impure {
				if i == bad || strings.HasPrefix(i, strings.TrimSuffix(bad, "/")+"/") {
					t.Errorf("%s imports %s", p.ImportPath, i)
				}
			}
		}
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains([]string{"Now", "Sleep", "After", "NewTimer", "NewTicker", "Since", "AfterFunc"}, s.Sel.Name) {
						t.Errorf("%s/%s uses time.%s", p.ImportPath, name, s.Sel.Name)
					}
				}
				if f, ok := n.(*ast.FuncDecl); ok && f.Name.Name == "init" && f.Recv == nil {
					t.Errorf("%s/%s has an init function", p.ImportPath, name)
				}
				return true
			})
		}
	}
}

// Only these files may speak to other seats. Everything additive goes through MaskedSum or OpenSum: a raw share opened
// elsewhere would give away inputs to a dealer that colludes with a recipient.
// announce tells public facts only; evaluators, anybody and beaver send masked inputs and what a dealer deals; opener sends masked
// vectors to the opener, and what that announces; aggregate sends masked vectors to the aggregator, and the parties' common key;
// overlap and overlap_many send sizes of lists and group elements under secret scalars.
var mayOpen = []string{
	"simon/aggregate.go", "simon/announce.go", "simon/anybody.go", "simon/beaver.go", "simon/beaver_gram.go", "simon/evaluators.go",
	"simon/masksum.go", "simon/opener.go", "simon/overlap.go", "simon/overlap_many.go",
}

func TestOnlyTheMaskedSumOpensShares(t *testing.T) {
	found := map[string]bool{}
	for _, p := range packages(t) {
		if room(p.ImportPath) != "simon" || strings.HasSuffix(p.ImportPath, "/simontest") {
			continue
		}
		for _, name := range p.GoFiles {
			file := strings.TrimPrefix(p.ImportPath, module) + "/" + name
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				if s, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Exchange", "Open", "Send", "SendInput", "Stream"}, s.Sel.Name) {
					found[file] = true
					if !slices.Contains(mayOpen, file) {
						t.Errorf("%s calls %s: only %v may", file, s.Sel.Name, mayOpen)
					}
				}
				return true
			})
		}
	}
	for _, file := range mayOpen {
		if !found[file] {
			t.Errorf("%s calls nothing of the session: this test looks in the wrong place", file)
		}
	}
}

func TestFilesStayReadable(t *testing.T) {
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != ".." {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		test := strings.HasSuffix(path, "_test.go")
		if lines := set.File(f.Pos()).LineCount(); lines > 650 && !test {
			t.Errorf("%s has %d lines: look for the missing noun", path, lines)
		}
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && !test {
				if n := set.Position(fn.End()).Line - set.Position(fn.Pos()).Line; n > 90 {
					t.Errorf("%s: %s has %d lines", path, fn.Name.Name, n)
				}
				if fn.Name.Name == "init" && fn.Recv == nil {
					t.Errorf("%s has an init function", path)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
