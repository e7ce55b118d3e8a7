// Package texttable aligns columns of text as Ceph's tables do: two spaces between columns, every
// cell padded to its column's width, a line of headings first. A Table belongs to one goroutine.
package texttable

import (
	"fmt"
	"strings"
)

// Separator is what Ceph puts between columns.
const Separator = "  "

// An Align says on which side a cell is padded.
type Align uint8

// The alignments.
const (
	Left Align = iota
	Right
)

// A Column is a heading and the two alignments.
type Column struct {
	Heading     string
	HeadingSide Align
	CellSide    Align
}

// A Table is columns and rows of text.
type Table struct {
	columns []Column
	widths  []int
	rows    [][]string
	Indent  int // spaces before every cell
}

// New is a table without rows.
func New(columns ...Column) *Table {
	t := &Table{columns: columns, widths: make([]int, len(columns))}
	for i, c := range columns {
		t.widths[i] = len(c.Heading)
	}
	return t
}

// Row adds a row; missing cells at its end are blank. Values print as with %v.
func (t *Table) Row(cells ...any) {
	row := make([]string, len(t.columns))
	for i, v := range cells {
		row[i] = fmt.Sprint(v)
		t.widths[i] = max(t.widths[i], len(row[i]))
	}
	t.rows = append(t.rows, row)
}

// String is the table, each line ended by a newline.
func (t *Table) String() string {
	var b strings.Builder
	line := func(cell func(i int) (string, Align)) {
		for i := range t.columns {
			if i > 0 {
				b.WriteString(Separator)
			}
			text, side := cell(i)
			pad := strings.Repeat(" ", max(0, t.widths[i]-len(text)))
			b.WriteString(strings.Repeat(" ", t.Indent))
			if side == Left {
				b.WriteString(text + pad)
			} else {
				b.WriteString(pad + text)
			}
		}
		b.WriteByte('\n')
	}
	line(func(i int) (string, Align) { return t.columns[i].Heading, t.columns[i].HeadingSide })
	for _, row := range t.rows {
		line(func(i int) (string, Align) { return row[i], t.columns[i].CellSide })
	}
	return b.String()
}
