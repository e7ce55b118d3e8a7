package denc

// Append makes c what NewEncoder gives, without allocating: for a loop that encodes many values.
func (c *Coder) Append(dst []byte, features uint64) {
	*c = Coder{buf: dst, encoding: true, features: features}
}

// Read makes c what NewDecoder gives, without allocating. Nothing that was decoded refers to c.
func (c *Coder) Read(src []byte, features uint64) {
	*c = Coder{buf: src, limit: len(src), features: features}
}
