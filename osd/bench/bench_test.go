package bench

import (
	"testing"

	"glue/internal/admin"
	"glue/store/memstore"
)

// TestLessThanABlock asks for fewer bytes than a block has, which writes one block as with stock.
func TestLessThanABlock(t *testing.T) {
	s := memstore.New(memstore.Options{})
	args := admin.Args{"count": "1", "size": "4096"}
	if _, err := Run(s, args, func(error) {}); err != nil {
		t.Error(err)
	}
}
