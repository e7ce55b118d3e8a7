// Package hello is the class "hello": the example that Ceph ships, which tests of clients call to
// see how methods return data. The methods are pure and run on the goroutine that executes the
// request. Specified by src/cls/hello of Ceph 16.2.
package hello

import (
	"bytes"
	"errors"

	"glue/ceph"
	"glue/osd/class"
)

// Class is the table of methods. The last two do what their flags don't allow.
var Class = class.Class{Name: "hello", Methods: []class.Method{
	{Name: "say_hello", Flags: class.RD, Func: say},
	{Name: "record_hello", Flags: class.WR | class.Promote, Func: record},
	{Name: "write_return_data", Flags: class.WR, Func: writeAndReturn},
	{Name: "writes_dont_return_data", Flags: class.WR, Func: writeAndReturn},
	{Name: "write_too_much_return_data", Flags: class.WR, Func: writeAndReturnTooMuch},
	{Name: "replay", Flags: class.RD, Func: replay},
	{Name: "turn_it_to_11", Flags: class.RD | class.WR | class.Promote, Func: amplify},
	{Name: "bad_reader", Flags: class.WR, Func: badReader},
	{Name: "bad_writer", Flags: class.RD, Func: badWriter},
}, Filters: []class.Filter{{Name: "hello", Parse: class.AttrIs}}}

// longest is the longest input of a greeting.
const longest = 100

// answer is the positive result of the methods that return data.
const answer = class.Result(42)

func say(_ class.Context, in []byte) ([]byte, error) {
	if len(in) > longest {
		return nil, ceph.EINVAL
	}
	if len(in) == 0 {
		in = []byte("world")
	}
	return append(append([]byte("Hello, "), in...), '!'), nil
}

// record greets an object that does not exist yet and notes who did.
func record(ctx class.Context, in []byte) ([]byte, error) {
	text, err := say(ctx, in)
	if err != nil {
		return nil, err
	}
	if _, _, err := ctx.Stat(); err == nil {
		return nil, ceph.EEXIST
	} else if !errors.Is(err, ceph.ENOENT) {
		return nil, err
	}
	if err := ctx.WriteFull(text); err != nil {
		return nil, err
	}
	return nil, sign(ctx, "said_by")
}

// sign notes the client in an attribute.
func sign(ctx class.Context, attr string) error {
	origin := ctx.Origin()
	return ctx.SetXattr(attr, []byte(origin.Name.String()+" "+origin.Addr.LegacyString()))
}

func writeAndReturn(ctx class.Context, in []byte) ([]byte, error) {
	if err := ctx.SetXattr("foo", []byte("bar")); err != nil {
		return nil, err
	}
	if len(in) > 0 {
		return []byte("too much input data!"), ceph.EINVAL
	}
	return []byte("you might see this"), answer
}

func writeAndReturnTooMuch(ctx class.Context, _ []byte) ([]byte, error) {
	if err := ctx.SetXattr("foo", []byte("bar")); err != nil {
		return nil, err
	}
	text := []byte("you should not see this because it is toooooo long. ")
	return bytes.Repeat(text, 10), answer
}

// readBytes is how much the methods read.
const readBytes = 1100

func replay(ctx class.Context, _ []byte) ([]byte, error) { return ctx.Read(0, readBytes) }

func amplify(ctx class.Context, in []byte) ([]byte, error) {
	if len(in) != 0 {
		return nil, ceph.EINVAL
	}
	data, err := ctx.Read(0, readBytes)
	if err != nil {
		return nil, err
	}
	loud := make([]byte, len(data))
	for i, c := range data {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		loud[i] = c
	}
	if err := ctx.WriteFull(loud); err != nil {
		return nil, err
	}
	return nil, sign(ctx, "amplified_by")
}

func badReader(ctx class.Context, _ []byte) ([]byte, error) { return ctx.Read(0, 100) }

func badWriter(ctx class.Context, in []byte) ([]byte, error) { return nil, ctx.WriteFull(in) }
