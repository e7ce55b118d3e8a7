package crc32c

import (
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

func TestKnown(t *testing.T) {
	if got := Update(0, []byte("foo bar baz")); got != 4119623852 {
		t.Errorf("Update(0) = %d", got)
	}
	if got := Update(1234, []byte("foo bar baz")); got != 881700046 {
		t.Errorf("Update(1234) = %d", got)
	}
}

func TestZerosAndBlocks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n, seed := rng.IntN(10000), rng.Uint32()
		if got, want := Zeros(seed, n), Update(seed, make([]byte, n)); got != want {
			t.Fatalf("Zeros(%#x, %d) = %#x, want %#x", seed, n, got, want)
		}
	}
	block := make([]byte, BlockBytes)
	all, want, got := []byte{}, rng.Uint32(), uint32(0)
	got = want
	first := want
	for i := range 50 {
		if i%5 == 4 {
			clear(block)
			got = AddZeroBlock(got)
		} else {
			for j := range block {
				block[j] = byte(rng.Uint32())
			}
			got = AddBlock(got, crc32.Checksum(block, table))
		}
		all = append(all, block...)
		if want = Update(want, block); got != want {
			t.Fatalf("after block %d: %#x, want %#x", i, got, want)
		}
	}
	if joined := Zeros(first, len(all)) ^ Update(0, all); joined != want {
		t.Fatalf("joined %#x, want %#x", joined, want)
	}
}

func BenchmarkZeros4M(b *testing.B) {
	for b.Loop() {
		Zeros(1, 4<<20-3)
	}
}

func BenchmarkAddBlock(b *testing.B) {
	s := uint32(0)
	for b.Loop() {
		s = AddBlock(s, 7)
	}
}
