#!/usr/bin/python3
"""Runs op vectors and class methods against a real Ceph cluster and writes what it answers.

    CEPH_CONF=DIR/ceph.conf ./capture.py POOL OUTPUT-FOLDER

Every file of the output is a script that TestGolden replays: "> OBJECT | OP | OP" is a vector, "<"
its result and outputs, "=" the object's state after a write. Times become "TTTTTTTT", random UUIDs
U's, and the client's name and address are in the first line.
"""
import ctypes as C
import os, re, struct, sys, time

lib = C.CDLL("librados.so.2")
for f in "rados_create_write_op rados_create_read_op".split():
    getattr(lib, f).restype = C.c_void_p
P, S, U64, INT = C.c_void_p, C.c_size_t, C.c_uint64, C.c_int
lib.rados_get_instance_id.restype = C.c_uint64

cluster, io = P(), P()
START = time.time()


def check(r, what):
    if r < 0:
        sys.exit("%s: %d" % (what, r))


def connect(pool):
    check(lib.rados_create(C.byref(cluster), b"admin"), "create")
    check(lib.rados_conf_read_file(cluster, os.environ["CEPH_CONF"].encode()), "conf")
    check(lib.rados_connect(cluster), "connect")
    check(lib.rados_ioctx_create(cluster, pool.encode(), C.byref(io)), "ioctx")
    addrs = C.c_char_p()
    check(lib.rados_getaddrs(cluster, C.byref(addrs)), "addrs")
    return lib.rados_get_instance_id(cluster), addrs.value.decode()


# ---- what goes into ops ------------------------------------------------------------------------
def u8(v): return struct.pack("<B", v & 0xff)
def u16(v): return struct.pack("<H", v)
def u32(v): return struct.pack("<I", v & 0xffffffff)
def u64(v): return struct.pack("<Q", v & (2**64 - 1))
def s(v):
    v = v if isinstance(v, bytes) else v.encode()
    return u32(len(v)) + v
def sec(v, compat, *body):
    body = b"".join(body)
    return u8(v) + u8(compat) + u32(len(body)) + body
def lst(*items): return u32(len(items)) + b"".join(items)
NOSNAP = 2**64 - 2


# ---- masking -----------------------------------------------------------------------------------
UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def mask(b):
    out, i, now = bytearray(b), 0, time.time()
    while i + 8 <= len(out):
        sec_, nsec = struct.unpack_from("<II", out, i)
        if START - 60 < sec_ < now + 10 and nsec < 10**9:
            out[i:i + 8] = b"T" * 8
            i += 8
        else:
            i += 1
    return UUID.sub(b"U" * 36, bytes(out))


def hx(b): return mask(b).hex() or "-"


# ---- state of an object ------------------------------------------------------------------------
def state(oid):
    size, mtime = U64(), C.c_long()
    if lib.rados_stat(io, oid, C.byref(size), C.byref(mtime)) < 0:
        return "= none"
    buf = C.create_string_buffer(max(size.value, 1))
    n = lib.rados_read(io, oid, buf, S(size.value), U64(0))
    data = buf.raw[:max(n, 0)]
    out = "= data:%s" % (hx(data) if len(data) <= 4096 else "%d,%08x" % (len(data), crc(data)))
    it = P()
    check(lib.rados_getxattrs(io, oid, C.byref(it)), "getxattrs")
    while True:
        k, v, n = C.c_char_p(), P(), S()
        lib.rados_getxattrs_next(it, C.byref(k), C.byref(v), C.byref(n))
        if not k.value:
            break
        out += " x:%s=%s" % (k.value.hex(), hx(C.string_at(v, n.value)))
    lib.rados_getxattrs_end(it)
    op, it, prv, more = P(lib.rados_create_read_op()), P(), INT(), C.c_ubyte()
    lib.rados_read_op_omap_get_vals2(op, b"", b"", U64(1000), C.byref(it), C.byref(more),
                                     C.byref(prv))
    check(lib.rados_read_op_operate(op, io, oid, 0), "omap")
    for k, v in omap_items(it):
        out += " k:%s=%s" % (mask(k).hex(), hx(v))
    lib.rados_release_read_op(op)
    return out


def crc(data):
    import zlib
    return zlib.crc32(data)


def omap_items(it):
    out = []
    while True:
        k, v, kn, vn = P(), P(), S(), S()
        lib.rados_omap_get_next2(it, C.byref(k), C.byref(v), C.byref(kn), C.byref(vn))
        if not k.value:
            break
        out.append((C.string_at(k, kn.value), C.string_at(v, vn.value) if vn.value else b""))
    lib.rados_omap_get_end(it)
    return out


# ---- vectors -----------------------------------------------------------------------------------
RETURNVEC = 1024
CMP = {"eq": 1, "ne": 2, "gt": 3, "gte": 4, "lt": 5, "lte": 6}


class Vector:
    """One request; write says which kind of operation librados has for it."""

    def __init__(self, oid, write, flags=0):
        self.oid, self.write, self.flags, self.text, self.outs, self.keep = (
            oid.encode(), write, flags, [], [], [])
        self.silent = False
        if flags & RETURNVEC:
            self.text.append("returnvec")
        self.op = P(lib.rados_create_write_op() if write else lib.rados_create_read_op())

    def quiet(self):
        """Leaves the state out."""
        self.silent = True
        return self

    def f(self, name): return getattr(lib, "rados_%s_op_%s" % (("read", "write")[self.write], name))

    def add(self, text, failok=False):
        self.text.append(text + (" failok" if failok else ""))
        if failok:
            self.f("set_flags")(self.op, 2)
        return self

    def buf(self, b):
        c = C.create_string_buffer(b, max(len(b), 1))
        self.keep.append(c)
        return c

    def strs(self, items):
        arr = (C.c_char_p * len(items))(*items)
        lens = (S * len(items))(*[len(i) for i in items])
        self.keep.append((arr, lens, items))
        return arr, lens

    # writing
    def create(self, excl=False, **k):
        self.f("create")(self.op, 1 if excl else 0, None)
        return self.add("createx" if excl else "create", **k)

    def put(self, off, b):
        self.f("write")(self.op, self.buf(b), S(len(b)), U64(off))
        return self.add("write %d %s" % (off, b.hex() or "-"))

    def full(self, b):
        self.f("write_full")(self.op, self.buf(b), S(len(b)))
        return self.add("writefull %s" % (b.hex() or "-"))

    def append(self, b):
        self.f("append")(self.op, self.buf(b), S(len(b)))
        return self.add("append %s" % (b.hex() or "-"))

    def same(self, off, length, b):
        self.f("writesame")(self.op, self.buf(b), S(len(b)), S(length), U64(off))
        return self.add("writesame %d %d %s" % (off, length, b.hex()))

    def truncate(self, n):
        self.f("truncate")(self.op, U64(n))
        return self.add("truncate %d" % n)

    def zero(self, off, n):
        self.f("zero")(self.op, U64(off), U64(n))
        return self.add("zero %d %d" % (off, n))

    def remove(self, **k):
        self.f("remove")(self.op)
        return self.add("remove", **k)

    def setx(self, name, b):
        self.f("setxattr")(self.op, name.encode(), self.buf(b), S(len(b)))
        return self.add("setxattr %s %s" % (name, b.hex() or "-"))

    def rmx(self, name, **k):
        self.f("rmxattr")(self.op, name.encode())
        return self.add("rmxattr %s" % name, **k)

    def omapset(self, pairs):
        ks, kl = self.strs([k.encode() for k in pairs])
        vs, vl = self.strs(list(pairs.values()))
        self.f("omap_set2")(self.op, ks, vs, kl, vl, S(len(pairs)))
        return self.add("omapset " + ",".join("%s=%s" % (k, v.hex()) for k, v in pairs.items()))

    def omaprm(self, *keys):
        ks, kl = self.strs([k.encode() for k in keys])
        self.f("omap_rm_keys2")(self.op, ks, kl, S(len(keys)))
        return self.add("omaprm " + ",".join(keys))

    def omaprmrange(self, a, b):
        self.f("omap_rm_range2")(self.op, a.encode(), S(len(a)), b.encode(), S(len(b)))
        return self.add("omaprmrange %s %s" % (a, b))

    def omapclear(self):
        self.f("omap_clear")(self.op)
        return self.add("omapclear")

    def hint(self, a, b):
        self.f("set_alloc_hint")(self.op, U64(a), U64(b))
        return self.add("allochint %d %d" % (a, b))

    # either
    def assert_exists(self):
        self.f("assert_exists")(self.op)
        return self.add("stat")

    def cmpx(self, name, cmp, b):
        self.f("cmpxattr")(self.op, name.encode(), C.c_uint8(CMP[cmp]), self.buf(b), S(len(b)))
        return self.add("cmpxattr %s %s %s" % (name, cmp, b.hex() or "-"))

    def omapcmp(self, key, cmp, b):
        rv = INT()
        self.keep.append(rv)
        self.f("omap_cmp2")(self.op, key.encode(), C.c_uint8(CMP[cmp]), self.buf(b), S(len(key)),
                            S(len(b)), C.byref(rv))
        return self.add("omapcmp %s %s %s" % (key, cmp, b.hex() or "-"))

    def cmpext(self, off, b, **k):
        rv = INT()
        self.f("cmpext")(self.op, self.buf(b), S(len(b)), U64(off), C.byref(rv))
        self.outs.append(lambda: "cmpext:%d" % rv.value)
        self.keep.append(rv)
        return self.add("cmpext %d %s" % (off, b.hex()), **k)

    def call(self, cls, method, b, **k):
        if self.write:
            rv = INT()
            self.keep.append(rv)
            self.f("exec")(self.op, cls.encode(), method.encode(), self.buf(b), S(len(b)),
                           C.byref(rv))
        else:
            out, n, rv = P(), S(), INT()
            self.keep.append((out, n, rv))
            self.f("exec")(self.op, cls.encode(), method.encode(), self.buf(b), S(len(b)),
                           C.byref(out), C.byref(n), C.byref(rv))
            self.outs.append(lambda: "call:%d:%s" % (
                rv.value, hx(C.string_at(out, n.value)) if out.value and n.value else "-"))
        return self.add("call %s %s %s" % (cls, method, b.hex() or "-"), **k)

    # reading
    def read(self, off, n):
        buf, got, rv = C.create_string_buffer(max(n, 1)), S(), INT()
        self.f("read")(self.op, U64(off), S(n), buf, C.byref(got), C.byref(rv))
        self.keep.append((buf, got, rv))
        self.outs.append(lambda: "read:%d:%s" % (rv.value, hx(buf.raw[:got.value])))
        return self.add("read %d %d" % (off, n))

    def stat(self):
        size, t, rv = U64(), C.c_long(), INT()
        self.f("stat")(self.op, C.byref(size), C.byref(t), C.byref(rv))
        self.keep.append((size, t, rv))
        self.outs.append(lambda: "stat:%d:%d" % (rv.value, size.value))
        return self.add("statout")

    def getxattrs(self):
        it, rv = P(), INT()
        self.f("getxattrs")(self.op, C.byref(it), C.byref(rv))
        self.keep.append((it, rv))

        def out():
            r = ""
            while True:
                k, v, n = C.c_char_p(), P(), S()
                lib.rados_getxattrs_next(it, C.byref(k), C.byref(v), C.byref(n))
                if not k.value:
                    return "xattrs:%d:%s" % (rv.value, r or "-")
                r += "%s=%s;" % (k.value.decode(), C.string_at(v, n.value).hex())
        self.outs.append(out)
        return self.add("getxattrs")

    def omap_out(self, name, it, rv, more):
        self.keep.append((it, rv, more))
        self.outs.append(lambda: "%s:%d:%d:%s" % (name, rv.value, more.value, "".join(
            "%s=%s;" % (k.decode(), v.hex()) for k, v in omap_items(it)) or "-"))

    def vals(self, after, prefix, n):
        it, rv, more = P(), INT(), C.c_ubyte()
        self.f("omap_get_vals2")(self.op, after.encode(), prefix.encode(), U64(n), C.byref(it),
                                 C.byref(more), C.byref(rv))
        self.omap_out("vals", it, rv, more)
        return self.add("omapvals %s %s %d" % (after or "-", prefix or "-", n))

    def keys(self, after, n):
        it, rv, more = P(), INT(), C.c_ubyte()
        self.f("omap_get_keys2")(self.op, after.encode(), U64(n), C.byref(it), C.byref(more),
                                 C.byref(rv))
        self.omap_out("keys", it, rv, more)
        return self.add("omapkeys %s %d" % (after or "-", n))

    def bykeys(self, *keys):
        it, rv, more = P(), INT(), C.c_ubyte()
        ks, kl = self.strs([k.encode() for k in keys])
        self.f("omap_get_vals_by_keys2")(self.op, ks, S(len(keys)), kl, C.byref(it), C.byref(rv))
        self.omap_out("bykeys", it, rv, more)
        return self.add("omapbykeys " + ",".join(keys))

    def checksum(self, kind, init, off, n, chunk, room=64):
        buf, rv = C.create_string_buffer(room), INT()
        self.f("checksum")(self.op, kind, self.buf(init), S(len(init)), U64(off), S(n), S(chunk),
                           buf, S(room), C.byref(rv))
        self.keep.append((buf, rv))

        def out():
            count = struct.unpack_from("<I", buf.raw)[0] if rv.value >= 0 else 0
            return "checksum:%d:%s" % (rv.value, buf.raw[:4 + count * len(init)].hex())
        self.outs.append(out)
        return self.add("checksum %d %s %d %d %d" % (kind, init.hex(), off, n, chunk))

    def run(self):
        if self.write:
            r = lib.rados_write_op_operate2(self.op, io, self.oid, None, self.flags)
        else:
            r = lib.rados_read_op_operate(self.op, io, self.oid, self.flags)
        line = "> %s | %s\n< %d" % (self.oid.decode(), " | ".join(self.text), r)
        if r >= 0 or not self.write:
            for o in self.outs:
                line += " " + o() if r >= 0 else ""
        if self.write and not self.silent:
            line += "\n" + state(self.oid)
        lib.__getattr__("rados_release_%s_op" % ("read", "write")[self.write])(self.op)
        print(line, file=OUT, flush=True)
        return r


def W(oid, flags=0): return Vector(oid, True, flags)
def R(oid): return Vector(oid, False)
def cr(oid, method, b=b"", cls="rbd"): return R(oid).call(cls, method, b).run()
def cw(oid, method, b=b"", cls="rbd"): return W(oid).call(cls, method, b).run()


def script(folder, name, f, client):
    global OUT
    OUT = open(os.path.join(folder, name + ".txt"), "w")
    print("client %d %s" % client, file=OUT)
    f()
    OUT.close()
    for oid in sorted(objects(folder, name)):
        lib.rados_remove(io, oid)


def objects(folder, name):
    for line in open(os.path.join(folder, name + ".txt"), encoding="utf8"):
        if line.startswith("> "):
            yield line.split(" ", 2)[1].encode()


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import capture
    capture.OUT = None
    import scripts
    client = capture.connect(sys.argv[1])
    for n, f in scripts.ALL.items():
        if len(sys.argv) < 4 or n in sys.argv[3:]:
            capture.script(sys.argv[2], n, f, client)
