package msgr

import "testing"

// TestSizeClass: every length gets a class of its own size, which wastes at most a quarter.
func TestSizeClass(t *testing.T) {
	sizes := map[int]int{}
	for n := 1; n <= maxBufferBytes; n += 1 + n/1000 {
		for _, n := range []int{n, (n + 4095) &^ 4095} {
			class, size := sizeClass(n)
			if size < n || size-n > max(4096, n/4) || class < 0 || class >= len(pools) {
				t.Fatalf("%d bytes: class %d of %d bytes", n, class, size)
			}
			if have, ok := sizes[class]; ok && have != size {
				t.Fatalf("class %d has %d and %d bytes", class, have, size)
			}
			sizes[class] = size
			if b := newBuffer(n); len(b.mem) < n || misaligned(b.mem) != 0 {
				t.Fatalf("%d bytes: buffer of %d", n, len(b.mem))
			} else {
				b.release()
			}
		}
	}
}
