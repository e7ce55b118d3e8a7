package arch

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	maxFuncLines    = 70
	maxFileLines    = 600
	maxPackageLines = 8000
	maxColumns      = 100
	tabColumns      = 4
)

type rules struct {
	allow map[string][]string
	pure  []string
	big   map[string]bool
}

func readRules(t *testing.T) rules {
	t.Helper()
	text, err := os.ReadFile("layers.txt")
	if err != nil {
		t.Fatal(err)
	}
	r := rules{allow: map[string][]string{}, big: map[string]bool{}}
	for i, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "":
		case "allow":
			folder, list, ok := strings.Cut(rest, ":")
			if !ok {
				t.Fatalf("layers.txt:%d: allow without a colon", i+1)
			}
			r.allow[folder] = strings.Fields(list)
		case "pure":
			r.pure = append(r.pure, rest)
		case "big":
			r.big[rest] = true
		default:
			t.Fatalf("layers.txt:%d: unknown rule %q", i+1, word)
		}
	}
	return r
}

func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// longest is the folder among list that holds path and has the longest name, or "".
func longest(path string, list []string) string {
	best := ""
	for _, f := range list {
		if within(path, f) && len(f) > len(best) {
			best = f
		}
	}
	return best
}

func (r rules) folders() []string {
	var out []string
	for f := range r.allow {
		out = append(out, f)
	}
	return out
}

// A source is one Go file of the module: path relative to the root, text and syntax.
type source struct {
	path, dir string
	lines     []string
	syntax    *ast.File
	fset      *token.FileSet
	test      bool
}

func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root &&
			(strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		fset := token.NewFileSet()
		syntax, err := parser.ParseFile(fset, rel, text, parser.ParseComments)
		if err != nil {
			return err
		}
		out = append(out, source{path: rel, dir: filepath.Dir(rel), syntax: syntax, fset: fset,
			lines: strings.Split(string(text), "\n"), test: strings.HasSuffix(name, "_test.go")})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 10 {
		t.Fatalf("only %d files found: the test looks in the wrong place", len(out))
	}
	return out
}

func imports(s source) []string {
	var out []string
	for _, i := range s.syntax.Imports {
		out = append(out, strings.Trim(i.Path.Value, `"`))
	}
	return out
}

func TestLayers(t *testing.T) {
	r := readRules(t)
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		folder := longest(s.dir, r.folders())
		if folder == "" {
			t.Errorf("%s: no layer is named for this folder", s.path)
			continue
		}
		for _, imp := range imports(s) {
			ours, ok := strings.CutPrefix(imp, "glue/")
			if ok && longest(ours, append(r.allow[folder], s.dir)) == "" {
				t.Errorf("%s: %s may not import %s", s.path, folder, ours)
			}
		}
	}
}

var impureImports = []string{"os", "net", "math/rand", "math/rand/v2", "crypto/rand", "sync",
	"sync/atomic", "os/exec", "os/signal", "net/http", "syscall", "context", "log"}

func TestPurity(t *testing.T) {
	r := readRules(t)
	for _, s := range sources(t) {
		if s.test || longest(s.dir, r.pure) == "" {
			continue
		}
		for _, imp := range imports(s) {
			if slices.Contains(impureImports, imp) && s.path != "ceph/errno.go" {
				t.Errorf("%s: a pure package imports %s", s.path, imp)
			}
		}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: a pure package starts a goroutine", s.fset.Position(n.Pos()))
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" &&
					slices.Contains([]string{"Now", "Since", "Sleep", "After", "Tick", "NewTimer"},
						n.Sel.Name) {
					t.Errorf("%s: a pure package reads the clock", s.fset.Position(n.Pos()))
				}
			}
			return true
		})
	}
}

func TestPackageComments(t *testing.T) {
	documented := map[string]string{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		if s.syntax.Doc != nil {
			documented[s.dir] = s.syntax.Doc.Text()
		} else if _, ok := documented[s.dir]; !ok {
			documented[s.dir] = ""
		}
	}
	for dir, doc := range documented {
		if len(doc) < 60 {
			t.Errorf("%s: the package needs a comment that says what it is and what it keeps", dir)
		}
	}
}

func TestSizes(t *testing.T) {
	r := readRules(t)
	perPackage := map[string]int{}
	for _, s := range sources(t) {
		if !s.test {
			perPackage[s.dir] += len(s.lines)
		}
		if len(s.lines) > maxFileLines && !r.big[s.path] {
			t.Errorf("%s: %d lines, the limit is %d", s.path, len(s.lines), maxFileLines)
		}
		checkColumns(t, s)
		for _, d := range s.syntax.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			from, to := s.fset.Position(f.Pos()).Line, s.fset.Position(f.End()).Line
			key := fmt.Sprintf("%s:%s", s.path, f.Name.Name)
			if n := to - from + 1; n > maxFuncLines && !r.big[key] {
				t.Errorf("%s:%d: %s has %d lines, the limit is %d", s.path, from, f.Name.Name, n,
					maxFuncLines)
			}
		}
	}
	for dir, n := range perPackage {
		if n > maxPackageLines {
			t.Errorf("%s: %d lines, the limit is %d", dir, n, maxPackageLines)
		}
	}
}

func checkColumns(t *testing.T, s source) {
	t.Helper()
	for i, line := range s.lines {
		if len(line) <= maxColumns/tabColumns {
			continue
		}
		n := 0
		for _, c := range line {
			if n++; c == '\t' {
				n += tabColumns - 1
			}
		}
		if n > maxColumns && !strings.Contains(line, "http") {
			t.Errorf("%s:%d: %d columns, the limit is %d", s.path, i+1, n, maxColumns)
		}
	}
}

func TestDependenciesAreExplained(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "DEPENDENCIES.md"))
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.Open(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	defer mod.Close()
	for lines := bufio.NewScanner(mod); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if !strings.Contains(line, ".") || strings.HasSuffix(line, "// indirect") ||
			strings.HasPrefix(line, "go ") || strings.HasPrefix(line, "//") {
			continue
		}
		name := strings.Fields(strings.TrimPrefix(line, "require "))[0]
		if !strings.Contains(string(doc), name) {
			t.Errorf("%s is not explained in docs/DEPENDENCIES.md", name)
		}
	}
}
