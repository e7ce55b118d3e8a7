package ops

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
	"glue/osd/class/all"
	"glue/wire/message"
)

// TestGolden replays what testdata/capture.py recorded from a real 16.2.15 cluster: every vector
// has to give the same result and outputs and leave the same object behind.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			replay(t, raw)
		})
	}
}

// The masks of capture.py: all times are this, all random UUIDs U's.
var maskedTime = ceph.Time{Sec: 0x54545454, Nsec: 0x54545454}

var randomUUID = regexp.MustCompile(
	`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)

func replay(t *testing.T, raw []byte) {
	g := &golden{pg: newPG(t, all.Classes...)}
	g.now = maskedTime
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<22)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		var got string
		switch {
		case strings.HasPrefix(line, "client "):
			g.client(t, line)
			continue
		case strings.HasPrefix(line, "> "):
			g.vector(t, line[2:])
			continue
		case strings.HasPrefix(line, "< "):
			got = g.result()
		case strings.HasPrefix(line, "= "):
			got = g.state()
		}
		if got != line {
			t.Errorf("line %d: %s\n got %s\nwant %s", n, shorten(g.text), shorten(got),
				shorten(line))
		}
	}
}

func shorten(s string) string {
	if len(s) > 900 {
		return s[:900] + "…"
	}
	return s
}

// A golden is a PG that replays one script.
type golden struct {
	*pg
	object, text string
	write        bool // librados gives no output of calls then
	ops          []goldenOp
	now          ceph.Time
	origin       class.Entity
}

// A goldenOp is an op of the current vector and how its output is written down.
type goldenOp struct {
	op    message.OSDOp
	print func(op *message.OSDOp) string
}

func (g *golden) client(t *testing.T, line string) {
	var id int64
	var addr string
	if _, err := fmt.Sscanf(line, "client %d %s", &id, &addr); err != nil {
		t.Fatal(err)
	}
	host, nonce, _ := strings.Cut(addr, "/")
	n, _ := strconv.ParseUint(nonce, 10, 32)
	g.origin = class.Entity{Name: ceph.EntityName{Type: ceph.TypeClient, Num: id},
		Addr: ceph.Addr{Type: ceph.AddrMsgr2, Nonce: uint32(n),
			AddrPort: netip.MustParseAddrPort(host)}}
}

func (g *golden) vector(t *testing.T, text string) {
	g.text = text
	parts := strings.Split(text, " | ")
	g.object, g.ops = parts[0], nil
	var ops []message.OSDOp
	flags := uint32(0)
	for _, p := range parts[1:] {
		if p == "returnvec" {
			flags = message.FlagReturnVec
		}
		if p == "" || p == "returnvec" {
			continue
		}
		o := parseOp(t, p)
		g.ops = append(g.ops, o)
		ops = append(ops, o.op)
	}
	r := g.request(head(g.object), flags, ops)
	r.Now, r.MTime, r.Origin, r.ReqID.Name = g.now, g.now, g.origin, g.origin.Name
	n, err := Inspect(g.env.Classes, flags, ops)
	if err == nil {
		err = Check(g.env.Limits, &n, r)
	}
	g.write = n.MayWrite() || n.ReturnVec
	if err != nil {
		g.last = Outcome{Result: ceph.ResultOf(err)}
		return
	}
	if r.State, err = LoadState(g.store, testColl, r.Object); err != nil {
		t.Fatal(err)
	}
	g.last = Execute(g.env, r, &n)
	g.apply()
}

func (g *golden) result() string {
	s := fmt.Sprintf("< %d", g.last.Result)
	if g.last.Result < 0 {
		return s
	}
	for i, o := range g.ops {
		if o.print != nil && (!g.write || o.op.Code != message.OpCall) {
			s += " " + o.print(&g.last.Ops[i])
		}
	}
	return s
}

func (g *golden) state() string {
	st, err := LoadState(g.store, testColl, head(g.object))
	if err != nil {
		return err.Error()
	}
	if !st.Exists {
		return "= none"
	}
	data, _ := g.store.Read(testColl, head(g.object), 0, 0)
	s := "= data:" + masked(data)
	if len(data) > 4096 {
		s = fmt.Sprintf("= data:%d,%08x", len(data), crc32.ChecksumIEEE(data))
	}
	attrs, _ := g.store.GetAttrs(testColl, head(g.object))
	for _, k := range slices.Sorted(maps.Keys(attrs)) {
		if k != InfoAttr {
			s += fmt.Sprintf(" x:%x=%s", k[1:], masked(attrs[k]))
		}
	}
	for p := range g.store.OmapScan(testColl, head(g.object), "") {
		s += fmt.Sprintf(" k:%s=%s", masked([]byte(p.Key)), masked(p.Value))
	}
	return s
}

func masked(b []byte) string {
	if len(b) == 0 {
		return "-"
	}
	return hex.EncodeToString(randomUUID.ReplaceAll(b, bytes.Repeat([]byte("U"), 36)))
}

func unhex(t testing.TB, s string) []byte {
	if s == "-" {
		return nil
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return b
}

func dash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

func number(t *testing.T, s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var goldenCmp = map[string]uint8{"eq": 1, "ne": 2, "gt": 3, "gte": 4, "lt": 5, "lte": 6}

// goldenExtents are the ops whose arguments are an offset and a length.
var goldenExtents = map[string]message.OpCode{"zero": message.OpZero, "read": message.OpRead}

// goldenPlain are the ops without arguments.
var goldenPlain = map[string]message.OpCode{
	"create": message.OpCreate, "createx": message.OpCreate, "remove": message.OpDelete,
	"omapclear": message.OpOmapClear, "stat": message.OpStat, "statout": message.OpStat,
	"getxattrs": message.OpGetXattrs,
}

// goldenPrint writes outputs down as capture.py does.
var goldenPrint = map[string]func(op *message.OSDOp) string{
	"read": func(op *message.OSDOp) string {
		return fmt.Sprintf("read:%d:%s", op.Result, masked(op.Out))
	},
	"statout": func(op *message.OSDOp) string {
		return fmt.Sprintf("stat:%d:%d", op.Result, le.Uint64(op.Out))
	},
	"call": func(op *message.OSDOp) string {
		return fmt.Sprintf("call:%d:%s", op.Result, masked(op.Out))
	},
	"cmpext": func(op *message.OSDOp) string { return fmt.Sprintf("cmpext:%d", op.Result) },
	"checksum": func(op *message.OSDOp) string {
		out := "00000000"
		if len(op.Out) > 0 {
			out = hex.EncodeToString(op.Out)
		}
		return fmt.Sprintf("checksum:%d:%s", op.Result, out)
	},
	"getxattrs": func(op *message.OSDOp) string {
		return fmt.Sprintf("xattrs:%d:%s", op.Result, pairs(op.Out, true, false))
	},
	"omapvals":   func(op *message.OSDOp) string { return "vals:" + omapOut(op, true, true) },
	"omapkeys":   func(op *message.OSDOp) string { return "keys:" + omapOut(op, false, true) },
	"omapbykeys": func(op *message.OSDOp) string { return "bykeys:" + omapOut(op, true, false) },
}

func omapOut(op *message.OSDOp, values, more bool) string {
	m := uint8(0)
	if more {
		m = op.Out[len(op.Out)-1]
	}
	return fmt.Sprintf("%d:%d:%s", op.Result, m, pairs(op.Out, values, more))
}

// pairs prints a counted list of keys, with values or without.
func pairs(raw []byte, values, _ bool) string {
	c := denc.NewDecoder(raw, 0)
	s := ""
	for range c.Count(0, 1) {
		var k string
		var v []byte
		if c.Str(&k); values {
			c.Blob(&v)
		}
		s += fmt.Sprintf("%s=%x;", k, v)
	}
	if s == "" {
		return "-"
	}
	return s
}

func parseOp(t *testing.T, text string) goldenOp {
	w := strings.Split(text, " ")
	o := goldenOp{print: goldenPrint[w[0]]}
	if w[len(w)-1] == "failok" {
		o.op.Flags = message.OpFlagFailOK
		w = w[:len(w)-1]
	}
	if code, ok := goldenPlain[w[0]]; ok {
		if o.op.Code = code; w[0] == "createx" {
			o.op.Flags |= message.OpFlagExcl
		}
		return o
	}
	if code, ok := goldenExtents[w[0]]; ok {
		o.op.Code = code
		o.op.SetExtent(number(t, w[1]), number(t, w[2]))
		return o
	}
	parse, ok := goldenOps[w[0]]
	if !ok {
		t.Fatalf("unknown op %q", text)
	}
	parse(t, &o.op, w)
	return o
}

// goldenOps reads the ops with arguments of their own.
var goldenOps = map[string]func(t *testing.T, op *message.OSDOp, w []string){
	"write": func(t *testing.T, op *message.OSDOp, w []string) {
		op.Code, op.In = message.OpWrite, unhex(t, w[2])
		op.SetExtent(number(t, w[1]), uint64(len(op.In)))
	},
	"writefull": func(t *testing.T, op *message.OSDOp, w []string) {
		op.Code, op.In = message.OpWriteFull, unhex(t, w[1])
		op.SetExtent(0, uint64(len(op.In)))
	},
	"append": func(t *testing.T, op *message.OSDOp, w []string) {
		op.Code, op.In = message.OpAppend, unhex(t, w[1])
		op.SetExtent(0, uint64(len(op.In)))
	},
	"writesame": func(t *testing.T, op *message.OSDOp, w []string) {
		op.Code, op.In = message.OpWriteSame, unhex(t, w[3])
		op.SetWriteSame(number(t, w[1]), number(t, w[2]), uint64(len(op.In)))
	},
	"cmpext": func(t *testing.T, op *message.OSDOp, w []string) {
		op.Code = message.OpCmpExt
		if len(w) > 2 {
			op.In = unhex(t, w[2])
		}
		op.SetExtent(number(t, w[1]), uint64(len(op.In)))
	},
	"truncate": func(t *testing.T, op *message.OSDOp, w []string) {
		op.Code = message.OpTruncate
		op.SetExtent(number(t, w[1]), 0)
	},
	"allochint": func(t *testing.T, op *message.OSDOp, w []string) {
		op.Code = message.OpSetAllocHint
		op.SetAllocHint(number(t, w[1]), number(t, w[2]), 0)
	},
	"setxattr": func(t *testing.T, op *message.OSDOp, w []string) {
		op.Code = message.OpSetXattr
		op.SetXattr(w[1], unhex(t, w[2]), 0, 0)
	},
	"rmxattr": func(_ *testing.T, op *message.OSDOp, w []string) {
		op.Code = message.OpRmXattr
		op.SetXattr(w[1], nil, 0, 0)
	},
	"cmpxattr": func(t *testing.T, op *message.OSDOp, w []string) {
		op.Code = message.OpCmpXattr
		op.SetXattr(w[1], unhex(t, w[3]), goldenCmp[w[2]], message.CmpModeString)
	},
	"omapcmp": func(t *testing.T, op *message.OSDOp, w []string) {
		key, value := w[1], unhex(t, w[3])
		op.Code = message.OpOmapCmp
		op.In = class.Encode(func(c *denc.Coder) {
			c.U32Const(1)
			c.Str(&key)
			c.Blob(&value)
			c.U32Const(uint32(goldenCmp[w[2]]))
		})
	},
	"omapset": func(t *testing.T, op *message.OSDOp, w []string) {
		m := map[string][]byte{}
		for _, kv := range strings.Split(w[1], ",") {
			if k, v, ok := strings.Cut(kv, "="); ok {
				m[k] = unhex(t, v)
			}
		}
		op.Code, op.In = message.OpOmapSetVals, encodePairs(m)
	},
	"omaprm": func(_ *testing.T, op *message.OSDOp, w []string) {
		keySet(op, message.OpOmapRmKeys, w)
	},
	"omapbykeys": func(_ *testing.T, op *message.OSDOp, w []string) {
		keySet(op, message.OpOmapGetValsByKeys, w)
	},
	"omaprmrange": func(_ *testing.T, op *message.OSDOp, w []string) {
		op.Code = message.OpOmapRmKeyRange
		op.In = class.Encode(func(c *denc.Coder) {
			c.Str(&w[1])
			c.Str(&w[2])
		})
	},
	"omapvals": func(t *testing.T, op *message.OSDOp, w []string) {
		after, prefix := dash(w[1]), dash(w[2])
		op.Code = message.OpOmapGetVals
		op.In = class.Encode(func(c *denc.Coder) {
			c.Str(&after)
			c.U64Const(number(t, w[3]))
			c.Str(&prefix)
		})
	},
	"omapkeys": func(t *testing.T, op *message.OSDOp, w []string) {
		after := dash(w[1])
		op.Code = message.OpOmapGetKeys
		op.In = class.Encode(func(c *denc.Coder) {
			c.Str(&after)
			c.U64Const(number(t, w[2]))
		})
	},
	"checksum": func(t *testing.T, op *message.OSDOp, w []string) {
		op.Code, op.In = message.OpChecksum, unhex(t, w[2])
		op.SetExtent(number(t, w[3]), number(t, w[4]))
		le.PutUint32(op.Union[16:], uint32(number(t, w[5])))
		op.Union[20] = uint8(number(t, w[1]))
	},
	"call": func(t *testing.T, op *message.OSDOp, w []string) {
		op.SetCall(w[1], w[2], unhex(t, w[3]))
	},
}

func encodePairs(m map[string][]byte) []byte {
	return class.Encode(func(c *denc.Coder) {
		denc.MapFunc(c, &m, (*denc.Coder).Str, (*denc.Coder).Blob)
	})
}

func keySet(op *message.OSDOp, code message.OpCode, w []string) {
	keys := []string{}
	if len(w) > 1 && w[1] != "" {
		keys = strings.Split(w[1], ",")
	}
	op.Code = code
	op.In = class.Encode(func(c *denc.Coder) { denc.ListFunc(c, &keys, (*denc.Coder).Str) })
}
