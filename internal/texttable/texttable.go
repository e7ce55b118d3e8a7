// Package texttable prints columns as Ceph's tools do (common/TextTable): two spaces between
// columns, every cell padded to its column's width, also the last. A Table belongs to one
// goroutine.
package texttable

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// An Align is the side that a cell keeps to.
type Align bool

// The alignments.
const (
	Left  Align = false
	Right Align = true
)

type column struct {
	head         string
	headA, dataA Align
	width        int
}

// A Table is columns and rows.
type Table struct {
	columns []column
	rows    [][]string
}

// Column adds a column with the alignment of its heading and of its cells.
func (t *Table) Column(head string, headAlign, align Align) {
	t.columns = append(t.columns, column{head, headAlign, align, utf8.RuneCountInString(head)})
}

// Row adds a row; missing cells are empty.
func (t *Table) Row(cells ...any) {
	row := make([]string, len(t.columns))
	for i := range min(len(cells), len(row)) {
		row[i] = fmt.Sprint(cells[i])
		t.columns[i].width = max(t.columns[i].width, utf8.RuneCountInString(row[i]))
	}
	t.rows = append(t.rows, row)
}

// String is the heading and the rows, each ended by a newline.
func (t *Table) String() string {
	var b strings.Builder
	for i, c := range t.columns {
		pad(&b, i, c.head, c.width, c.headA)
	}
	b.WriteByte('\n')
	for _, row := range t.rows {
		for i, cell := range row {
			pad(&b, i, cell, t.columns[i].width, t.columns[i].dataA)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func pad(b *strings.Builder, i int, cell string, width int, a Align) {
	if i > 0 {
		b.WriteString("  ")
	}
	fill := strings.Repeat(" ", width-utf8.RuneCountInString(cell))
	if a == Right {
		b.WriteString(fill + cell)
	} else {
		b.WriteString(cell + fill)
	}
}
