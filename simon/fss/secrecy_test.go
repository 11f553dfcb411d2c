package fss_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weftmpc/weft/simon/fss"
)

// oddest looks at many keys of one evaluator, at each byte of a key by itself and at the exclusive or of each two neighbours,
// whether it is uniform. It returns the largest of the chi-squared statistics, as a number of standard deviations. Bits that
// are always 0 are left out.
func oddest(keys []byte, c comparison) (place string, deviations float64) {
	size := c.size()
	n := len(keys) / size
	mask := slices.Repeat([]byte{0xff}, size)
	for i := range c.bits {
		at := fss.Lambda + i*(size-fss.Lambda-8*c.words)/c.bits
		mask[at] = 0xfe                      // the seed's bit that became a control bit
		mask[at+fss.Lambda+8*c.words] = 0b11 // control bits
	}
	for at := range size {
		for what, other := range map[string]int{"byte": -1, "sum with the next": at + 1} {
			if other == size {
				continue
			}
			var count [256]float64
			m := mask[at]
			if other >= 0 {
				m &= mask[other]
			}
			for j := range n {
				v := keys[j*size+at]
				if other >= 0 {
					v ^= keys[j*size+other]
				}
				count[v&m]++
			}
			classes, sum := 0, 0.0
			for v := range 256 {
				if byte(v)&^m == 0 {
					classes++
				}
			}
			want := float64(n) / float64(classes)
			for v := range 256 {
				if byte(v)&^m == 0 {
					sum += (count[v] - want) * (count[v] - want) / want
				}
			}
			free := float64(classes - 1)
			// Wilson and Hilferty: the cube root is nearly normal.
			z := (math.Cbrt(sum/free) - (1 - 2/(9*free))) / math.Sqrt(2/(9*free))
			if math.Abs(z) > math.Abs(deviations) {
				place, deviations = fmt.Sprintf("%s %d", what, at), z
			}
		}
	}
	return place, deviations
}

// One key looks uniform, whatever alpha and beta are; and it has no bits but those of the layout. A test like this cannot show
// that keys are secret, but finds what forgets a correction or uses a root twice.
func TestOneKeyIsUniform(t *testing.T) {
	k := testKeys()
	n := 20_000
	if testing.Short() {
		n = 4_000
	}
	const limit = 5.5 // deviations; the seeds are fixed, so chance does not fail this test
	for _, c := range []comparison{{1, 1}, {5, 1}, {4, 2}} {
		top := uint64(1)<<c.bits - 1
		r := rand.New(seeded(4))
		for what, secret := range map[string]func() (alpha, beta uint64){
			"lowest":  func() (uint64, uint64) { return 0, 0 },
			"highest": func() (uint64, uint64) { return top, ^uint64(0) },
			"middle":  func() (uint64, uint64) { return top / 2, 1 },
			"random":  func() (uint64, uint64) { return r.Uint64() & top, r.Uint64() },
		} {
			alphas, betas := make([]uint64, n), make([]uint64, n*c.words)
			for i := range n {
				alphas[i], betas[i*c.words] = secret()
			}
			keys := c.room(n)
			if err := c.genAll(k, seeded(5), alphas, betas, keys); err != nil {
				t.Fatal(err)
			}
			for party := range 2 {
				if place, z := oddest(keys[party], c); math.Abs(z) > limit {
					t.Errorf("%v, alpha and beta %s: %s of evaluator %d's keys is %.1f deviations from uniform", c, what, place, party, z)
				}
				for j := range n {
					key := keys[party][j*c.size():][:c.size()]
					for at := fss.Lambda; at+8*c.words < c.size(); at += fss.Lambda + 8*c.words + 1 {
						if key[at]&1 != 0 || key[at+fss.Lambda+8*c.words] > 3 {
							t.Fatalf("%v: a key has other bits than the layout", c)
						}
					}
				}
			}
		}
		// Keys with the alpha in them would be found.
		keys := c.room(n)
		if err := c.genAll(k, seeded(5), make([]uint64, n), make([]uint64, n*c.words), keys); err != nil {
			t.Fatal(err)
		}
		for j := range n {
			if j%8 == 0 {
				keys[0][(j+1)*c.size()-1] = 0
			}
		}
		if _, z := oddest(keys[0], c); math.Abs(z) < 2*limit {
			t.Errorf("%v: bytes that are 0 too often are %.1f deviations from uniform", c, z)
		}
	}
}

// timed is code that works on secrets: functions of a file (nil: all), and the names in them whose values everybody may know:
// counts, positions, lengths, errors, and arrays by their name. What stands in the arrays, and alpha, beta, x, masks, sums under
// masks, bits of them, seeds, control bits and numbers, is not public. The lengths of lists are.
type timed struct {
	file                     string
	functions, public, lists []string
}

var constantTime = []timed{
	{"tree.go", nil, []string{"Lambda", "lanes", "len", "n", "i", "j", "w", "words", "bits", "step", "size", "at", "end", "k", "s", "b", "cw"}, []string{"alphas", "xs"}},
	{"../signs.go", []string{"split", "deal", "runAt"}, []string{"g", "b", "i", "p", "gate", "bits", "keySize", "err", "in", "nil"}, []string{"r", "points", "shares"}},
	{"../suppress.go", []string{"deal", "run"}, []string{"g", "i", "survivorBits", "err", "m", "nil"}, []string{"r", "m", "sums"}},
}

// secretUses are the places of a file at which what runs, or which address is used, depends on more than public names: in
// conditions, bounds of loops, indices, limits of slices and widths of shifts. Division, which takes longer for some numbers,
// and the operators && and || of more than public names. A call is taken for public if its name and arguments are.
func (c timed) secretUses(set *token.FileSet, f ast.Node) []string {
	var found []string
	look := func(what string, e ast.Expr) { c.look(set, &found, what, e) }
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl, *ast.Field:
			return false // types
		case *ast.IfStmt:
			look("branch", n.Cond)
		case *ast.ForStmt:
			look("loop", n.Cond)
		case *ast.RangeStmt:
			timed{public: slices.Concat(c.public, c.lists)}.look(set, &found, "loop", n.X)
		case *ast.SwitchStmt, *ast.TypeSwitchStmt, *ast.SelectStmt, *ast.GoStmt, *ast.BranchStmt:
			found = append(found, fmt.Sprintf("%v: branch", set.Position(n.Pos())))
		case *ast.IndexExpr:
			look("index", n.Index)
		case *ast.SliceExpr:
			look("slice", n.Low)
			look("slice", n.High)
			look("slice", n.Max)
		case *ast.BinaryExpr:
			switch n.Op {
			case token.SHL, token.SHR:
				look("shift", n.Y)
			case token.LAND, token.LOR:
				look("operator", n)
			case token.QUO, token.REM:
				found = append(found, fmt.Sprintf("%v: operator %s", set.Position(n.Pos()), n.Op))
			}
		case *ast.AssignStmt:
			switch n.Tok {
			case token.SHL_ASSIGN, token.SHR_ASSIGN, token.QUO_ASSIGN, token.REM_ASSIGN:
				found = append(found, fmt.Sprintf("%v: operator %s", set.Position(n.Pos()), n.Tok))
			}
		}
		return true
	})
	return found
}

func (c timed) look(set *token.FileSet, found *[]string, what string, e ast.Expr) {
	if e == nil {
		return
	}
	ast.Inspect(e, func(n ast.Node) bool {
		if name, ok := n.(*ast.Ident); ok && !slices.Contains(c.public, name.Name) {
			*found = append(*found, fmt.Sprintf("%v: %s by %s", set.Position(name.Pos()), what, name.Name))
		}
		if _, ok := n.(*ast.IndexExpr); ok {
			*found = append(*found, fmt.Sprintf("%v: %s by an element", set.Position(n.Pos()), what))
		}
		return true
	})
}

// The walks down the trees, and what gates do with masks, keys and shares, neither branch nor address memory by secrets, as far as
// their source shows.
func TestSourceIsConstantTime(t *testing.T) {
	set := token.NewFileSet()
	for _, c := range constantTime {
		f, err := parser.ParseFile(set, c.file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		looked := 0
		for _, d := range f.Decls {
			if d, ok := d.(*ast.FuncDecl); ok && (c.functions == nil || slices.Contains(c.functions, d.Name.Name)) {
				looked++
				for _, what := range c.secretUses(set, d) {
					t.Error(what)
				}
			}
		}
		if looked < max(1, len(c.functions)) {
			t.Errorf("%s has %d of the functions %v", c.file, looked, c.functions)
		}
	}
	f, err := parser.ParseFile(set, "", `package p
		func (b *block) f(j int, bit uint64, beta []uint64) {
			if bit == 1 { b.t[j]++ }
			for range bit { }
			_ = b.t[bit]
			_ = table[b.t[j]:]
			_ = 1 << b.t[j]
			_ = beta[0] / 3
			_ = bit == 1 && j == 2
			if b.t[0] == 1 { }
			switch bit { }
			bit >>= 1
		}`, 0)
	if err != nil {
		t.Fatal(err)
	}
	if found := constantTime[0].secretUses(set, f); len(found) != 13 {
		t.Errorf("the rule finds %q", found)
	}
}
