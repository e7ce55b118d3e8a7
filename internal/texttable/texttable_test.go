package texttable

import "testing"

func TestTable(t *testing.T) {
	tbl := New(Column{"ID", Left, Right}, Column{"NAME", Left, Left}, Column{"N", Left, Right})
	tbl.Row(-1, "a", 10)
	tbl.Row(100, "longer")
	want := "ID   NAME    N \n -1  a       10\n100  longer    \n"
	if got := tbl.String(); got != want {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}
