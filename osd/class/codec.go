package class

import (
	"glue/ceph"
	"glue/ceph/denc"
)

// Decode reads a method's input; what does not decode is EINVAL, the answer of Ceph's classes.
func Decode(in []byte, body func(c *denc.Coder)) error {
	c := denc.NewDecoder(in, ceph.FeaturesAll)
	if body(c); c.Err() != nil {
		return ceph.EINVAL
	}
	return nil
}

// DecodeValue is Decode into one value.
func DecodeValue(in []byte, v denc.Value) error { return Decode(in, v.Denc) }

// DecodeStored reads what an earlier method wrote; damage is EIO.
func DecodeStored(raw []byte, v denc.Value) error {
	if denc.Unmarshal(raw, v, ceph.FeaturesAll) != nil {
		return ceph.EIO
	}
	return nil
}

// Encode is the output of a method.
func Encode(body func(c *denc.Coder)) []byte {
	c := denc.NewEncoder(nil, ceph.FeaturesAll)
	body(c)
	return c.Bytes()
}

// EncodeValue is Encode of one value.
func EncodeValue(v denc.Value) []byte { return Encode(v.Denc) }
