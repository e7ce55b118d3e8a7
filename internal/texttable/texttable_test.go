package texttable

import "testing"

func TestTable(t *testing.T) {
	var x Table
	x.Column("ID", Left, Right)
	x.Column("NAME", Left, Left)
	x.Row(1, "a")
	x.Row(-22, "default")
	want := "ID   NAME   \n  1  a      \n-22  default\n"
	if got := x.String(); got != want {
		t.Errorf("got\n%q want\n%q", got, want)
	}
}
