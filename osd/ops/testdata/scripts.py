"""What capture.py runs."""
from capture import *


# ---- object ops --------------------------------------------------------------------------------
def data():
    R("d3").read(0, 10).run()
    R("d3").stat().run()
    W("d3").put(0, b"hello world").run()
    R("d3").read(0, 64).read(6, 100).read(11, 5).read(20, 5).read(2, 3).stat().run()
    W("d3").put(20, b"gap").run()
    R("d3").read(0, 100).run()
    W("d3").append(b"!tail").run()
    W("d3").truncate(8).run()
    W("d3").truncate(12).run()
    W("d3").put(15, b"").run()
    W("d3").put(3, b"").run()
    W("d3").truncate(12).run()
    W("d3").zero(2, 3).run()
    W("d3").zero(10, 50).run()
    W("d3").zero(30, 5).run()
    W("d3").full(b"whole").run()
    W("d3").full(b"").run()
    W("d3").same(0, 12, b"abc").run()
    W("d3").same(4, 10, b"abc").run()
    W("d3").same(4, 0, b"abc").run()
    W("d3").create().run()
    W("d3").create(excl=True).run()
    W("d3").put(0, b"x").create(excl=True).run()
    W("d3").create(excl=True, failok=True).put(0, b"Y").run()
    W("d3").remove().run()
    W("d3").remove().run()
    W("d3").remove(failok=True).run()
    W("d3").truncate(5).run()
    W("d3").zero(0, 5).run()
    W("d3").hint(4 << 20, 4096).put(0, b"data").run()
    W("d3").remove().put(0, b"again").run()
    W("d3").put(0, b"a").remove().run()
    W("d3").put(128 << 20, b"a").run()
    W("d3").put((128 << 20) - 1, b"a").truncate(0).run()
    W("d3").truncate(1 << 40).run()
    W("d3").cmpext(0, b"").run()
    W("d3").full(b"compare me").run()
    for b in b"compare me", b"compare", b"cOmpare", b"compare me\0\0", b"compare me\0x":
        R("d3").cmpext(0, b).run()
        W("d3").cmpext(0, b).put(0, b"compare").run()
    R("d3").cmpext(100, b"\0").run()
    R("d3").cmpext(100, b"z").run()
    R("d3").cmpext(0, b"zzz", failok=True).read(0, 3).run()
    W("none").assert_exists().run()
    R("none").assert_exists().run()
    W("d3").assert_exists().put(0, b"C").run()


def checksum():
    W("c1").full(b"".join(bytes([i & 255]) for i in range(1000))).run()
    for kind, n in ((0, 4), (1, 8), (2, 4)):
        for init in b"\0" * n, b"\xff" * n, bytes(range(n)):
            for off, ln, chunk in ((0, 0, 0), (0, 1000, 0), (0, 1000, 250), (10, 90, 30),
                                   (900, 200, 0), (900, 200, 50), (900, 200, 30), (0, 10, 3),
                                   (2000, 10, 0), (0, 0, 10), (3, 7, 1)):
                R("c1").checksum(kind, init, off, ln, chunk).run()
    W("c2").create().run()
    R("c2").checksum(2, b"\xff" * 4, 0, 0, 0).run()


def xattr():
    W("x1").setx("a", b"1").setx("b", b"").run()
    R("x1").getxattrs().run()
    W("x1").rmx("b").rmx("nothere").run()
    W("x1").rmx("nothere", failok=True).run()
    W("x1").setx("n" * 100, b"long").run()
    W("x1").setx("n" * 101, b"too long").run()
    W("x1").setx("big", b"v" * 3000).run()
    W("x2").rmx("a").run()
    W("x1").setx("num", b"10").setx("s", b"mm").run()
    for op in CMP:
        for v in b"ma", b"mm", b"mz", b"", b"m":
            R("x1").cmpx("s", op, v).run()
        for v in b"10", b"9":
            R("x1").cmpx("num", op, v).run()
        R("x1").cmpx("missing", op, b"").run()
        R("x1").cmpx("missing", op, b"x").run()
    R("x1").cmpx("s", "eq", b"mm").stat().run()
    R("x1").cmpx("s", "eq", b"mm").getxattrs().run()
    W("x1").cmpx("s", "eq", b"mm").setx("s", b"nn").run()
    W("x1").cmpx("s", "eq", b"mm").setx("s", b"oo").run()
    W("x3").cmpx("s", "eq", b"").setx("s", b"oo").run()
    W("x3").create().cmpx("s", "eq", b"").setx("s", b"oo").run()


def omap():
    W("o1").omapset({"k%03d" % i: b"v%d" % i for i in range(20)}).run()
    R("o1").vals("", "", 5).run()
    R("o1").vals("k004", "", 5).run()
    R("o1").vals("k0045", "", 3).run()
    R("o1").vals("", "k01", 100).run()
    R("o1").vals("k015", "k01", 100).run()
    R("o1").vals("k015", "k02", 100).run()
    R("o1").vals("k02", "k01", 100).run()
    R("o1").vals("", "k00", 10).run()
    R("o1").vals("", "k00", 9).run()
    R("o1").vals("", "", 0).run()
    R("o1").keys("", 5).run()
    R("o1").keys("k010", 100).run()
    R("o1").keys("zzz", 100).run()
    R("o1").bykeys("k001", "k005", "none").run()
    R("o1").bykeys().run()
    for op in "eq", "lt", "gt", "ne", "gte":
        for v in b"v3", b"v2", b"v4", b"":
            R("o1").omapcmp("k003", op, v).run()
        R("o1").omapcmp("none", op, b"").run()
    W("o1").omapcmp("k003", "eq", b"v3").omapset({"k003": b"new"}).run()
    W("o1").omapcmp("k003", "eq", b"v3").omapset({"k003": b"newer"}).run()
    W("o1").omaprm("k003", "none").run()
    W("o1").omaprmrange("k005", "k010").run()
    W("o1").omaprmrange("k012", "k012").run()
    W("o1").omapset({"a": b"1"}).omaprm("a").omapset({"b": b"2"}).run()
    W("o1").omapclear().omapset({"c": b"3"}).run()
    W("o1").omapclear().run()
    W("o1").omapclear().run()
    R("o1").vals("", "", 5).keys("", 5).bykeys("a").run()
    W("o2").omaprm("a").run()
    W("o2").omapclear().run()
    W("o2").omaprmrange("a", "b").run()
    R("o2").vals("", "", 5).run()
    W("o2").omapset({}).run()
    W("o2").omapset({"a": b"1"}).remove().run()
    W("o3").put(0, b"data").run()
    R("o3").vals("", "", 5).keys("", 5).bykeys("a").run()
    R("o3").omapcmp("a", "eq", b"").run()


# ---- class lock --------------------------------------------------------------------------------
def lk(name, typ, cookie="", tag="", desc="", secs=0, flags=0):
    return sec(1, 1, s(name), u8(typ), s(cookie), s(tag), s(desc), u32(secs), u32(0), u8(flags))


def lock():
    def w(oid, m, b): cw(oid, m, b, "lock")
    def r(oid, m, b): cr(oid, m, b, "lock")
    ident = lambda n, *more: sec(1, 1, s(n), *more)
    r("l1", "get_info", ident("x"))
    w("l1", "lock", lk("x", 1, "c1", "t1", "desc"))
    r("l1", "get_info", ident("x"))
    r("l1", "get_info", ident("other"))
    w("l1", "lock", lk("x", 1, "c1", "t1", "desc"))
    w("l1", "lock", lk("x", 1, "c1", "t1", "desc2", 0, 1))
    w("l1", "lock", lk("x", 1, "c1", "t1", "desc3", 0, 2))
    w("l1", "lock", lk("x", 1, "c1", "t1", "desc3", 0, 3))
    w("l1", "lock", lk("x", 1, "c2", "t1"))
    w("l1", "lock", lk("x", 2, "c2", "t1"))
    w("l1", "lock", lk("x", 1, "c1", "t2"))
    w("l1", "lock", lk("x", 1, "c9", "t1", "", 0, 2))
    for t in 0, 4, 255:
        w("l1", "lock", lk("y", t))
    w("l1", "lock", lk("", 1))
    w("l1", "lock", b"")
    w("l1", "lock", b"\1\1\xff\xff\xff\xff")
    w("l1", "lock", lk("y", 2, "a"))
    w("l1", "lock", lk("y", 2, "b"))
    r("l1", "get_info", ident("y"))
    r("l1", "list_locks", b"")
    r("l1", "assert_locked", sec(1, 1, s("x"), u8(1), s("c1"), s("t1")))
    r("l1", "assert_locked", sec(1, 1, s("x"), u8(2), s("c1"), s("t1")))
    r("l1", "assert_locked", sec(1, 1, s("x"), u8(1), s("c2"), s("t1")))
    r("l1", "assert_locked", sec(1, 1, s("x"), u8(1), s("c1"), s("t2")))
    r("l1", "assert_locked", sec(1, 1, s("x"), u8(0), s("c1"), s("t1")))
    r("l1", "assert_locked", sec(1, 1, s(""), u8(1), s("c1"), s("t1")))
    r("l1", "assert_locked", sec(1, 1, s("z"), u8(1), s("c1"), s("t1")))
    r("l0", "assert_locked", sec(1, 1, s("z"), u8(1), s("c1"), s("t1")))
    cookie = lambda a, b, t="t1", n="x", k=1: sec(1, 1, s(n), u8(k), s(a), s(t), s(b))
    w("l1", "set_cookie", cookie("c1", "d3"))
    w("l1", "set_cookie", cookie("c1", "d3"))
    w("l1", "set_cookie", cookie("d3", "d3"))
    w("l1", "set_cookie", cookie("a", "b", "", "y", 2))
    w("l1", "set_cookie", cookie("a", "c", "", "y", 2))
    w("l1", "set_cookie", cookie("a", "c", "", "", 2))
    w("l0", "set_cookie", cookie("a", "c"))
    w("l1", "unlock", sec(1, 1, s("x"), s("wrong")))
    w("l1", "unlock", sec(1, 1, s("x"), s("d3")))
    w("l1", "unlock", sec(1, 1, s("x"), s("d3")))
    w("l1", "unlock", sec(1, 1, s("none"), s("d3")))
    w("l0", "unlock", sec(1, 1, s("x"), s("d3")))
    w("l1", "break_lock", sec(1, 1, s("y"), u8(8), u64(1), s("b")))
    w("l1", "break_lock", b"zz")
    w("l2", "lock", lk("e", 3, "c"))
    w("l2", "lock", lk("e", 3, "d"))
    r("l2", "get_info", ident("e"))
    w("l2", "unlock", sec(1, 1, s("e"), s("c")))
    W("l4").create().run()
    r("l4", "list_locks", b"")
    r("l4", "get_info", ident("x"))


# ---- class rbd ---------------------------------------------------------------------------------
def mk(oid, size=1 << 26, order=22, features=61, prefix="rbd_data.abc", *more):
    return cw(oid, "create", u64(size) + u8(order) + u64(features) + s(prefix) + b"".join(more))


def rbd_header():
    h = "h1"
    for m in ("get_size get_features get_object_prefix get_data_pool get_flags get_snapcontext "
              "op_features_get get_create_timestamp parent_get get_all_features "
              "snapshot_get_limit get_stripe_unit_count").split():
        cr(h, m, u64(NOSNAP))
    mk(h, 1 << 26, 22, 1 << 20)
    mk(h, prefix="")
    mk(h, 1, 1, 256)
    mk(h, 1, 1, 512 | 128)
    mk(h, 1, 1, 1, "p", u64(5))
    cw(h, "create", b"xx")
    mk(h)
    mk(h)
    mk("h2", 1 << 30, 22, 128 | 1, "p2", u64(7))
    mk("h3", 1 << 30, 23, 2 | 1, "p3")
    for m in ("get_object_prefix get_data_pool op_features_get get_create_timestamp "
              "get_access_timestamp get_modify_timestamp get_snapcontext snapshot_get_limit "
              "parent_get get_stripe_unit_count").split():
        cr(h, m)
        cr("h2", m)
        cr("h3", m)
    for b in u64(NOSNAP), u64(NOSNAP) + u8(1), u64(NOSNAP) + u8(0), u64(5), b"", b"\1":
        cr(h, "get_features", b)
        cr(h, "get_size", b)
        cr(h, "get_flags", b)
        cr(h, "parent_overlap_get", b)
        cr(h, "get_parent", b)
    for f, m in ((4, 4), (0, 4), (0, 8), (8, 8), (1, 1), (0, 1), (0, 32), (32, 32), (256, 256),
                 (0, 512), (64, 64), (0, 64), (1 << 40, 1 << 40), (0, 1 << 13), (1024, 1024),
                 (128, 128), (2048, 2048)):
        cw(h, "set_features", u64(f) + u64(m))
    cw(h, "set_features", u64(1))
    cw("h9", "set_features", u64(4) + u64(4))
    for n in 1 << 25, 1 << 27, 0:
        cw(h, "set_size", u64(n))
    cw(h, "set_size", b"1")
    cw("none", "set_size", u64(1))
    for f, m in ((1, 1), (2, 3), (3, 3), (0, 1)):
        cw(h, "set_flags", u64(f) + u64(m))
    cw(h, "set_flags", u64(1) + u64(1) + u64(NOSNAP))
    cw(h, "set_flags", u64(1) + u64(1) + u64(9))
    cw("none", "set_flags", u64(1) + u64(1))
    for f, m in ((1, 1), (2, 2), (0, 3), (0, 3), (8, 8), (16, 16), (0, 8)):
        cw(h, "op_features_set", u64(f) + u64(m))
        cr(h, "op_features_get")
    cw("none", "op_features_set", u64(1) + u64(1))
    for a, b in ((1 << 20, 4), (3, 4), (1 << 24, 4), (0, 1), (1, 0), (1 << 23, 1)):
        cw("h3", "set_stripe_unit_count", u64(a) + u64(b))
    cr("h3", "get_stripe_unit_count")
    cw(h, "set_stripe_unit_count", u64(1 << 20) + u64(4))
    cw("none", "set_stripe_unit_count", u64(1 << 20) + u64(4))
    cw(h, "set_access_timestamp")
    cw(h, "set_modify_timestamp")
    cw("none", "set_modify_timestamp")
    cr(h, "get_access_timestamp")
    cr(h, "nonsense")
    R(h).call("nosuchclass", "x", b"").run()
    md = lambda d: lst(*[s(k) + s(v) for k, v in d.items()])
    cw(h, "metadata_set", md({"conf_a": "1", "b": "", "c": "x" * 100}))
    cw(h, "metadata_set", md({}))
    cw(h, "metadata_set", b"\xff\xff\xff\xff")
    cr(h, "metadata_list", s("") + u64(0))
    cr(h, "metadata_list", s("") + u64(2))
    cr(h, "metadata_list", s("b") + u64(2))
    cr(h, "metadata_list", s("zz") + u64(2))
    cr(h, "metadata_list", s("zz"))
    cr(h, "metadata_get", s("b"))
    cr(h, "metadata_get", s("c"))
    cr(h, "metadata_get", s("d"))
    cr("none", "metadata_get", s("d"))
    cw(h, "metadata_remove", s("b"))
    cw(h, "metadata_remove", s("nothere"))
    cw("none", "metadata_remove", s("b"))
    cw("m2", "metadata_set", md({"m%03d" % i: "v%d" % i for i in range(150)}))
    cr("m2", "metadata_list", s("") + u64(0))
    cr("m2", "metadata_list", s("") + u64(1000))
    cr("m2", "metadata_list", s("m050") + u64(70))


USER = sec(1, 1, u32(0))
def GROUP(pool=2, g="gid", sn="gs"): return sec(1, 1, u32(1), u64(pool), s(g), s(sn))
def TRASH(n="old", t=0): return sec(1, 1, u32(2), s(n), u32(t))
def MIRROR(state=2, complete=0, peers=(), uuid="", snap=NOSNAP, last=0, seqs=()):
    return sec(1, 1, u32(3), u8(state), u8(complete), lst(*map(s, peers)), s(uuid), u64(snap),
               u64(last), lst(*[u64(a) + u64(b) for a, b in seqs]))


def rbd_snap():
    h = "s1"
    add = lambda n, i, *ns: cw(h, "snapshot_add", s(n) + u64(i) + b"".join(ns))
    add("a", 3)
    mk(h)
    add("a", 3)
    add("a", 4)
    add("b", 3)
    add("b", 2)
    add("b", 5, USER)
    add("c", NOSNAP)
    add("c", 2**64 - 3)
    add("c", 6, sec(1, 1, u32(77)))
    add("c", 6, GROUP())
    cw(h, "snapshot_add", b"\1")
    for i in 3, 5, 6, 7, NOSNAP:
        for m in ("snapshot_get get_snapshot_name get_snapshot_timestamp get_size get_flags "
                  "get_protection_status parent_overlap_get get_parent").split():
            cr(h, m, u64(i))
    cr(h, "get_snapcontext")
    cr("none", "get_snapcontext")
    cr(h, "snapshot_get", b"")
    ren = lambda i, n: cw(h, "snapshot_rename", u64(i) + s(n))
    ren(3, "a2"), ren(3, "b"), ren(9, "z"), ren(6, "zz"), ren(5, "b")
    cw(h, "snapshot_rename", u64(3))
    for i, st in ((3, 2), (3, 1), (3, 0), (3, 3), (9, 0), (NOSNAP, 0), (3, 2)):
        cw(h, "set_protection_status", u64(i) + u8(st))
        cr(h, "get_protection_status", u64(i))
    cw("none", "set_protection_status", u64(3) + u8(0))
    cr("none", "get_protection_status", u64(3))
    cw(h, "snapshot_remove", u64(3))
    cw(h, "set_protection_status", u64(3) + u8(0))
    cw(h, "set_flags", u64(1) + u64(1) + u64(3))
    child = lambda p, i, ns="": sec(2, 1, u64(p), s(i), s(ns))
    ch = lambda m, sn, c: cw(h, m, u64(sn) + c)
    ch("child_attach", 3, child(2, "kid1"))
    ch("child_attach", 3, child(2, "kid1"))
    ch("child_attach", 3, child(2, "kid0", "ns"))
    ch("child_attach", 3, child(1, "zkid"))
    ch("child_attach", 99, child(1, "zkid"))
    cr(h, "children_list", u64(3))
    cr(h, "children_list", u64(5))
    cr(h, "children_list", u64(99))
    cr(h, "op_features_get")
    cw(h, "snapshot_remove", u64(3))
    cw(h, "snapshot_trash_add", u64(3))
    cw(h, "snapshot_trash_add", u64(3))
    cr(h, "snapshot_get", u64(3))
    ch("child_attach", 3, child(1, "late"))
    ch("child_detach", 3, child(2, "kid1"))
    ch("child_detach", 3, child(2, "kid1"))
    ch("child_detach", 3, child(2, "kid0", "ns"))
    ch("child_detach", 3, child(1, "zkid"))
    ch("child_detach", 99, child(1, "zkid"))
    cr(h, "children_list", u64(3))
    cr(h, "op_features_get")
    cw(h, "snapshot_trash_add", u64(99))
    cw(h, "snapshot_remove", u64(99))
    cw(h, "snapshot_remove", u64(3))
    cr(h, "get_features", u64(NOSNAP))
    for n in 5, 1, 2, 2**64 - 1:
        cw(h, "snapshot_set_limit", u64(n))
        cr(h, "snapshot_get_limit")
    cw(h, "snapshot_set_limit", u64(3))
    add("x", 20), add("y", 21), add("z", 22)
    cw(h, "snapshot_set_limit", b"")
    add("tr", 30, TRASH())
    cr(h, "op_features_get")
    cw("s3", "create", u64(1 << 26) + u8(22) + u64(61) + s("p"))
    for i in range(1, 70):
        W("s3").call("rbd", "snapshot_add", s("snap%d" % i) + u64(i)).quiet().run()
    cr("s3", "get_snapcontext")
    cw("s3", "snapshot_rename", u64(60) + s("snap7"))
    cw("s3", "snapshot_set_limit", u64(10))


def rbd_clone():
    spec = lambda pool=2, ns="", img="pid", sn=4: sec(1, 1, u64(pool), s(ns), s(img), u64(sn))
    c = "c1"
    cw(c, "parent_attach", spec() + u64(1 << 20))
    mk(c, 1 << 22)
    cr(c, "parent_get"), cr(c, "parent_overlap_get", u64(NOSNAP))
    cw(c, "parent_attach", spec() + u64(0))
    cw(c, "parent_attach", spec(img="") + u64(5))
    cw(c, "parent_attach", spec(pool=-1) + u64(5))
    cw(c, "parent_attach", spec(sn=NOSNAP) + u64(5))
    cw(c, "parent_attach", spec())
    cw(c, "parent_attach", spec() + u64(1 << 23))
    cw(c, "parent_attach", spec() + u64(1 << 23))
    cw(c, "parent_attach", spec(img="other") + u64(1 << 21) + u8(0))
    cw(c, "parent_attach", spec(ns="ns") + u64(1 << 21) + u8(1))
    cr(c, "parent_get"), cr(c, "parent_overlap_get", u64(NOSNAP)), cr(c, "get_parent", u64(NOSNAP))
    cw(c, "remove_parent")
    cw(c, "parent_attach", spec() + u64(1 << 23) + u8(1))
    cr(c, "get_parent", u64(NOSNAP))
    cw(c, "op_features_set", u64(2) + u64(2))
    cw(c, "set_size", u64(1 << 20))
    cr(c, "parent_overlap_get", u64(NOSNAP))
    cw(c, "snapshot_add", s("sn") + u64(3))
    cr(c, "parent_overlap_get", u64(3)), cr(c, "get_parent", u64(3))
    cw(c, "snapshot_add", s("sn2") + u64(4))
    cw(c, "snapshot_remove", u64(4))
    cw(c, "parent_detach")
    cr(c, "parent_get"), cr(c, "parent_overlap_get", u64(NOSNAP)), cr(c, "get_parent", u64(3))
    cw(c, "parent_detach")
    cw("c2", "create", u64(1 << 22) + u8(22) + u64(1) + s("p"))
    cw("c2", "parent_attach", spec() + u64(1 << 21))
    cw("c2", "op_features_set", u64(2) + u64(2))
    cw("c2", "snapshot_add", s("sn") + u64(3))
    cw("c2", "parent_detach")
    cr("c2", "parent_get"), cr("c2", "parent_overlap_get", u64(NOSNAP))
    cr("c2", "parent_overlap_get", u64(3)), cr("c2", "get_parent", u64(3))
    cw("c2", "parent_detach")
    cw("c2", "parent_attach", spec() + u64(1 << 20))
    cw("c2", "parent_detach")
    cw("c2", "snapshot_remove", u64(3))
    cr("c2", "parent_get")
    cw("c3", "create", u64(1 << 22) + u8(22) + u64(0) + s("p"))
    cw("c3", "parent_attach", spec() + u64(1 << 20))
    cw("c3", "parent_detach")
    cr("c3", "parent_get"), cr("c3", "get_parent", u64(NOSNAP))
    cw("c3", "set_protection_status", u64(1) + u8(1))
    old = lambda pool, img, sn, ov: u64(pool) + s(img) + u64(sn) + u64(ov)
    cw("c4", "create", u64(1 << 22) + u8(22) + u64(1) + s("p"))
    cw("c4", "set_parent", old(3, "x", 4, 1 << 20))
    cw("c4", "set_parent", old(3, "x", 4, 1 << 20))
    cr("c4", "get_parent", u64(NOSNAP))
    cw("c4", "set_parent", b"")
    cw("c4", "remove_parent")
    cw("c4", "remove_parent")
    ref = lambda img, kid=None: u64(2) + s(img) + u64(4) + (s(kid) if kid else b"")
    k = "kids"
    cr(k, "get_children", ref("p"))
    for kid in "k2", "k1", "k1":
        cw(k, "add_child", ref("p", kid))
    cw(k, "add_child", ref("q", "k1"))
    cw(k, "add_child", ref("q"))
    cr(k, "get_children", ref("p")), cr(k, "get_children", ref("z")), cr(k, "get_children")
    cw(k, "remove_child", ref("p", "k2"))
    cw(k, "remove_child", ref("p", "k2"))
    cw(k, "remove_child", ref("p", "k1"))
    cw(k, "remove_child", ref("p", "k1"))


def rbd_dir():
    d = "dir"
    two = lambda a, b: s(a) + s(b)
    for p in "dir_", "group_dir_":
        cw(p + d, p + "remove" + ("_image" if p == "dir_" else ""), two("a", "1"))
        add = p + "add" + ("_image" if p == "dir_" else "")
        rm = p + "remove" + ("_image" if p == "dir_" else "")
        ren = p + "rename" + ("_image" if p == "dir_" else "")
        cr(p + d, p + "list", s("") + u64(10))
        for a, b in (("b", "2"), ("a", "1"), ("a", "3"), ("c", "1"), ("", "4"), ("d", ""),
                     ("d", "no-dash"), ("d", "4x")):
            cw(p + d, add, two(a, b))
        cw(p + d, add, b"")
        cr(p + d, p + "list", s("") + u64(10))
        cr(p + d, p + "list", s("a") + u64(1))
        cr(p + d, p + "list", s("") + u64(0))
        cr(p + d, p + "list", s(""))
        for x in ("a", "d", "b"), ("a", "z", "2"), ("a", "z", "1"), ("z", "a", "1"), ("q", "r", "9"):
            cw(p + d, ren, s(x[0]) + s(x[1]) + s(x[2]))
        for x in ("b", "1"), ("zz", "1"), ("b", "2"), ("b", "2"):
            cw(p + d, rm, two(*x))
    cr("dir_dir", "dir_get_id", s("a")), cr("dir_dir", "dir_get_id", s("nope"))
    cr("dir_dir", "dir_get_name", s("1")), cr("dir_dir", "dir_get_name", s("nope"))
    cr("dir_dir", "dir_get_name")
    cr("dir_dir", "dir_state_assert", u8(0))
    for st in 1, 0, 2:
        cw("dir_dir", "dir_state_set", u8(st))
        cw("dir_new", "dir_state_set", u8(st))
    for st in 0, 1:
        cr("dir_new", "dir_state_assert", u8(st))
        cr("dir_dir", "dir_state_assert", u8(st))
    cw("dir_dir", "dir_state_set")
    W("dir3").create().run()
    cw("dir3", "dir_state_set", u8(1))
    cr("dir3", "dir_state_assert", u8(1))
    i = "id1"
    cw(i, "set_id", s("abc"))
    cr(i, "get_id")
    W(i).create().run()
    cr(i, "get_id")
    cw(i, "set_id", s("")), cw(i, "set_id", s("a-b")), cw(i, "set_id"), cw(i, "set_id", s("ab12"))
    cw(i, "set_id", s("other"))
    cr(i, "get_id")
    W("id2").create(excl=True).call("rbd", "set_id", s("x1")).run()
    W("id2").create(excl=True).call("rbd", "set_id", s("x1")).run()
    n = "nsp"
    cr(n, "namespace_list", s("") + u64(10))
    for x in "b", "a", "a", "":
        cw(n, "namespace_add", s(x))
    cr(n, "namespace_list", s("") + u64(10)), cr(n, "namespace_list", s("a") + u64(10))
    cr(n, "namespace_list", s("") + u64(1)), cr(n, "namespace_list", s("") + u64(0))
    cw(n, "namespace_remove", s("b")), cw(n, "namespace_remove", s("b"))
    t = "trash"
    img = lambda name, st=0, src=0: sec(2, 1, u8(src), s(name), u32(100), u32(0), u32(200), u32(5),
                                        u8(st))
    cr(t, "trash_list", s("") + u64(10)), cr(t, "trash_get", s("1"))
    cw(t, "trash_add", s("1") + img("one")), cw(t, "trash_add", s("1") + img("uno"))
    cw(t, "trash_add", s("") + img("one")), cw(t, "trash_add", s("2-") + img("one"))
    cw(t, "trash_add", s("2") + img("two", 1, 1)), cw(t, "trash_add", s("2"))
    cw(t, "trash_add", s("3") + sec(1, 1, u8(0), s("v1"), u64(1), u64(2)))
    cr(t, "trash_list", s("") + u64(10)), cr(t, "trash_list", s("1") + u64(1))
    cr(t, "trash_list", s("") + u64(0))
    cr(t, "trash_get", s("1")), cr(t, "trash_get", s("3")), cr(t, "trash_get", s("9"))
    for a in ("1", 2, 0), ("1", 2, 0), ("1", 3, 0), ("9", 1, 0):
        cw(t, "trash_state_set", s(a[0]) + u8(a[1]) + u8(a[2]))
    cw(t, "trash_state_set", s("1") + u8(1))
    cw(t, "trash_remove", s("1")), cw(t, "trash_remove", s("1")), cw("none", "trash_remove", s("1"))


def rbd_map():
    m = "om"
    res = lambda n, st: cw(m, "object_map_resize", u64(n) + u8(st))
    upd = lambda a, b, new, cur=None: cw(m, "object_map_update", u64(a) + u64(b) + u8(new) + (
        u8(0) if cur is None else u8(1) + u8(cur)))
    cr(m, "object_map_load")
    upd(0, 1, 1)
    res(10, 0), res(13, 2), res(16, 1)
    cr(m, "object_map_load")
    upd(0, 4, 1), upd(2, 6, 2, 1), upd(4, 16, 1, 0), upd(0, 1, 1), upd(5, 5, 1), upd(6, 5, 1)
    upd(0, 17, 1), upd(16, 17, 1), upd(0, 16, 3, 1), upd(0, 3, 2, 1), upd(1, 2, 7)
    cr(m, "object_map_load")
    res(14, 1), res(15, 3), res(14, 0), res(2, 3), res(0, 0), res(0, 0), res(256000001, 0)
    cw(m, "object_map_resize", u64(4))
    res(70000, 0)
    upd(16380, 16390, 1), upd(0, 70000, 1, 0), upd(69999, 70000, 0)
    cw(m, "object_map_snap_add"), cw(m, "object_map_snap_add")
    upd(100, 200, 1)
    hdr = lambda n: s(sec(1, 1, u64(n)))
    plain = lambda n, data: hdr(n) + data + u32(0)
    cw(m, "object_map_snap_remove", plain(8, b"\x55\xff"))
    cw(m, "object_map_snap_remove", plain(100000, b"\xff" * 25000))
    cw(m, "object_map_snap_remove", plain(100000, b"\xff" * 100))
    cw(m, "object_map_snap_remove")
    cw("om2", "object_map_save", plain(9, b"\x1b\x1b\xc0"))
    cr("om2", "object_map_load")
    cw("om2", "object_map_save", plain(9, b"\x1b\x1b"))
    cw("om2", "object_map_save", hdr(8) + b"\x1b\x1b" + s(b"\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c"))
    cw("om2", "object_map_snap_add"), cw("om2", "object_map_snap_add")
    W("om3").create().run()
    cr("om3", "object_map_load"), cw("om3", "object_map_update", u64(0) + u64(1) + u8(1) + u8(0))
    cw("om3", "object_map_snap_add"), cw("om3", "object_map_resize", u64(5) + u8(1))
    W("om4").full(b"garbage here that is no map").run()
    cr("om4", "object_map_load"), cw("om4", "object_map_update", u64(0) + u64(1) + u8(1) + u8(0))
    cw("om4", "object_map_resize", u64(5) + u8(1))
    W("om3").put(20, b"\xff").run()
    cr("om3", "object_map_load"), cw("om3", "object_map_update", u64(0) + u64(1) + u8(2) + u8(0))


def rbd_data():
    cw("do1", "copyup", b"parent data"), cw("do1", "copyup", b"later")
    cw("do2", "copyup", b"")
    ext = lambda *e: lst(*[u64(a) + u64(b) for a, b in e])
    sp = lambda o, e, d: cw(o, "sparse_copyup", e + s(d))
    sp("do3", ext((0, 3), (10, 2)), b"abcde"), sp("do3", ext((0, 1)), b"z")
    sp("do4", ext(), b""), sp("do5", ext((0, 9)), b"short"), cw("do5", "sparse_copyup", b"")
    W("do6").full(b"a" * 4096 + b"\0" * 8192 + b"b" * 100 + b"\0" * 5000).run()
    sz = lambda o, n, e: cw(o, "sparsify", u64(n) + u8(e))
    sz("do6", 4096, 0), sz("do6", 4096, 0), sz("none", 4096, 0)
    W("do7").full(b"\0" * 9000).run()
    sz("do7", 4096, 0), sz("do7", 4096, 1)
    W("do8").full(b"\0" * 5000 + b"x").run()
    sz("do8", 4096, 1), sz("do8", 512, 1), cw("do8", "sparsify", u64(1))
    W("do9").full(b"full" * 1000).run()
    sz("do9", 4096, 1)
    for st in 0, 1, 2:
        for q in 0, 1, 5:
            cw("do1", "assert_snapc_seq", u64(q) + u8(st))
            cw("nil", "assert_snapc_seq", u64(q) + u8(st))
    W("do1").call("rbd", "assert_snapc_seq", u64(1) + u8(0)).put(0, b"X").run()


def rbd_group():
    g = "g1"
    spec = lambda i, p: sec(1, 1, s(i), u64(p))
    st = lambda i, p, x: sec(1, 1, spec(i, p), u8(x))
    cr(g, "group_image_list", spec("", -1) + u64(10))
    cw(g, "group_image_set", st("img1", 2, 1)), cw(g, "group_image_set", st("img0", 255, 0))
    cw(g, "group_image_set", st("img1", 2, 0)), cw(g, "group_image_set", b"")
    cr(g, "group_image_list", spec("", -1) + u64(10)), cr(g, "group_image_list", spec("", -1) + u64(1))
    cr(g, "group_image_list", spec("img1", 2) + u64(10))
    cw(g, "group_image_remove", spec("img0", 255)), cw(g, "group_image_remove", spec("img0", 255))
    cw("none", "group_image_remove", spec("img0", 255))
    h = "gh"
    mk(h)
    gs = lambda p, i: sec(1, 1, u64(p), s(i))
    cr(h, "image_group_get"), cw(h, "image_group_remove", gs(2, "g"))
    cw(h, "image_group_add", gs(2, "g")), cw(h, "image_group_add", gs(2, "g"))
    cw(h, "image_group_add", gs(3, "g")), cr(h, "image_group_get")
    cw(h, "image_group_remove", gs(3, "g")), cw(h, "image_group_remove", gs(2, "g"))
    cr(h, "image_group_get"), cw("none", "image_group_add", gs(2, "g")), cr("none", "image_group_get")
    isn = lambda p, i, n: sec(1, 1, u64(p), s(i), u64(n))
    sn = lambda i, n, x, *more: sec(1, 1, s(i), s(n), u8(x), lst(*more))
    cw(g, "group_snap_set", sn("i1", "n1", 0)), cw(g, "group_snap_set", sn("i1", "n1", 0))
    cw(g, "group_snap_set", sn("i1", "n1", 1, isn(2, "x", 4))), cw(g, "group_snap_set", sn("i2", "n1", 0))
    cw(g, "group_snap_set", sn("", "n1", 0)), cw(g, "group_snap_set", sn("i2", "", 0))
    cw(g, "group_snap_set", sn("i2", "n2", 0))
    cr(g, "group_snap_list", sn("", "", 0) + u64(10)), cr(g, "group_snap_list", sn("i1", "", 0) + u64(10))
    cr(g, "group_snap_list", sn("", "", 0) + u64(1))
    cr(g, "group_snap_get_by_id", s("i1")), cr(g, "group_snap_get_by_id", s("zz"))
    cw(g, "group_snap_remove", s("i1")), cw(g, "group_snap_remove", s("i1"))


def rbd_migration():
    m = "mg"
    spec = lambda t=1, st=1, src="", **k: sec(
        3, 3 if src else 1, u8(t), u64(2), s("ns"), s("name"), s("id"), lst(u64(1) + u64(2)),
        u64(1 << 20), u8(0), u8(1), u8(st), s("desc"), u8(1), s(src))
    cw(m, "migration_set", spec()), cr(m, "migration_get"), cw(m, "migration_remove")
    mk(m)
    cr(m, "migration_get"), cw(m, "migration_set_state", u8(2) + s("x"))
    cw(m, "migration_set", spec()), cw(m, "migration_set", spec())
    cr(m, "migration_get"), cw(m, "migration_set_state", u8(2) + s("better"))
    cr(m, "migration_get"), cw(m, "migration_set_state", u8(2))
    cw(m, "migration_remove"), cw(m, "migration_remove")
    cw(m, "migration_set", spec(2, src="{\"a\":1}")), cr(m, "migration_get")
    mk("mg2", 1 << 20, 22, 512 | 1)
    cw("mg2", "migration_set", spec(1)), cw("mg2", "migration_set", spec(2))
    text = b"<<< Rados Block Device Image >>>\n"
    W("mg3").full(text + b"\0" * (112 - len(text))).run()
    cw("mg3", "migration_set", spec(2)), cw("mg3", "migration_set", spec(1)), cr("mg3", "migration_get")
    cw("mg3", "migration_set", spec(1)), cw("mg3", "migration_remove"), cw("mg3", "migration_remove")


def rbd_old():
    o = "old.rbd"
    text = b"<<< Rados Block Device Image >>>\n"
    head = (text + b"\0" * 40)[:40] + (b"rb.0.1" + b"\0" * 24)[:24] + b"RBD\0" + b"001.005\0" + \
        bytes([22, 0, 0, 0]) + u64(1 << 26) + u64(0) + u32(0) + u32(0) + u64(0)
    add = lambda n, i: cw(o, "snap_add", s(n) + u64(i))
    cr(o, "snap_list"), add("a", 1)
    W(o).full(b"short").run()
    cr(o, "snap_list")
    W(o).full(head).run()
    cr(o, "snap_list"), add("a", 3), add("a", 4), add("b", 2), add("bb", 5), add("c", 6)
    cr(o, "snap_list")
    ren = lambda i, n: cw(o, "snap_rename", u64(i) + s(n))
    ren(5, "a"), ren(5, "longer name"), ren(9, "x"), ren(3, "z")
    cr(o, "snap_list")
    cw(o, "snap_remove", s("none")), cw(o, "snap_remove", s("longer name"))
    cr(o, "snap_list"), cw(o, "snapshot_set_limit", u64(1)), cw(o, "snapshot_set_limit", u64(2))
    add("d", 7), cw(o, "snap_remove", s("c")), cw(o, "snap_remove", s("z")), cr(o, "snap_list")


def rbd_mirror():
    p = "mir"
    peer = lambda u, site, cl="client.x", d=2, mu="": sec(
        2, 1, s(u), s(site), s(cl), u64(-1), u8(d), s(mu), u64(0))
    cr(p, "mirror_uuid_get"), cr(p, "mirror_mode_get"), cw(p, "mirror_mode_set", u32(1))
    cw(p, "mirror_peer_add", peer("u1", "s1")), cr(p, "mirror_peer_list")
    cw(p, "mirror_uuid_set", s("")), cw(p, "mirror_uuid_set", s("myuuid")), cr(p, "mirror_uuid_get")
    cr(p, "mirror_mode_get"), cw(p, "mirror_mode_set", u32(3)), cw(p, "mirror_mode_set", u32(2))
    cr(p, "mirror_mode_get"), cw(p, "mirror_uuid_set", s("other"))
    for x in (peer("u1", "s1"), peer("u1", "s2"), peer("u2", "s1"), peer("myuuid", "s3"),
              peer("u3", "s3", "", 2), peer("u3", "s3", "c", 1), peer("", "s3"), peer("u3", ""),
              peer("u3", "s3", "c", 0, "mu3"), peer("u4", "s4", "c", 2, "mu3"), peer("u5", "s5", "c", 9)):
        cw(p, "mirror_peer_add", x)
    cr(p, "mirror_peer_list")
    ping = lambda a, b, d=1: cw(p, "mirror_peer_ping", s(a) + s(b) + u8(d))
    ping("s1", "mu1"), ping("s3b", "mu3"), ping("s1", "mu3"), ping("", "x"), ping("x", ""), ping("s1", "mu1", 0)
    cw(p, "mirror_peer_set_client", s("u1") + s("newclient")), cw(p, "mirror_peer_set_client", s("zz") + s("n"))
    cw(p, "mirror_peer_set_cluster", s("u1") + s("newsite")), cw(p, "mirror_peer_set_cluster", s("zz") + s("n"))
    cw(p, "mirror_peer_set_cluster", s("u1") + s("s3b"))
    cw(p, "mirror_peer_set_direction", s("u1") + u8(0)), cw(p, "mirror_peer_set_direction", s("zz") + u8(0))
    cr(p, "mirror_peer_list"), cw(p, "mirror_mode_set", u32(0))
    cw(p, "mirror_peer_remove", s("u1")), cw(p, "mirror_peer_remove", s("u1")), cw(p, "mirror_peer_remove", s("u3"))
    img = lambda g, st=1, mode=0: sec(2, 1, s(g), u8(st), u8(mode))
    st = lambda i, b: cw(p, "mirror_image_set", s(i) + b)
    st("i1", img("g1")), st("i1", img("g1", 1, 1)), st("i1", img("gx")), st("i2", img("g1"))
    st("i2", img("g2", 0)), st("i2", img("g2", 2)), st("i3", img("g3"))
    cr(p, "mirror_image_list", s("") + u64(10)), cr(p, "mirror_image_list", s("i1") + u64(1))
    cr(p, "mirror_image_get", s("i1")), cr(p, "mirror_image_get", s("zz"))
    cr(p, "mirror_image_get_image_id", s("g1")), cr(p, "mirror_image_get_image_id", s("zz"))
    ss = lambda u, x, d: sec(2, 2, s(u), u8(x), s(d), u64(0), u8(1)) if u else sec(1, 1, u8(x), s(d), u64(0), u8(1))
    sset = lambda g, b: cw(p, "mirror_image_status_set", s(g) + b)
    sset("g1", ss("", 4, "replaying")), sset("g1", ss("ru1", 6, "stopped")), sset("g1", ss("ru0", 1, "err"))
    sset("g2", ss("", 4, "x")), sset("zz", ss("", 4, "x")), sset("g3", ss("ru1", 4, "y"))
    cr(p, "mirror_image_status_get", s("g1")), cr(p, "mirror_image_status_get", s("g2"))
    cr(p, "mirror_image_status_get", s("g3"))
    cr(p, "mirror_image_status_list", s("") + u64(10)), cr(p, "mirror_image_status_list", s("i1") + u64(1))
    cr(p, "mirror_image_status_get_summary"), cr(p, "mirror_image_status_get_summary", lst(peer("a", "b")))
    cr(p, "mirror_image_status_get_summary", lst(peer("a", "b", "c", 1, "ru1"), peer("a", "b", "c", 0)))
    cr(p, "mirror_image_instance_get", s("g1")), cr(p, "mirror_image_instance_get", s("zz"))
    cr(p, "mirror_image_instance_list", s("") + u64(10))
    cw(p, "mirror_image_status_remove", s("g3")), cw(p, "mirror_image_status_remove_down")
    cw(p, "mirror_image_remove", s("i1")), st("i1", img("g1", 0)), sset("g1", ss("", 4, "late"))
    cw(p, "mirror_image_remove", s("i1")), cw(p, "mirror_image_remove", s("i1"))
    for x in "b", "a":
        cw(p, "mirror_instances_add", s(x))
    cr(p, "mirror_instances_list"), cw(p, "mirror_instances_remove", s("a")), cw(p, "mirror_instances_remove", s("a"))
    mp = lambda i: sec(1, 1, s(i), u64(7), s("data"))
    cw(p, "mirror_image_map_update", s("g1") + mp("in1")), cw(p, "mirror_image_map_update", s("g2") + mp("in2"))
    cr(p, "mirror_image_map_list", s("") + u64(10)), cr(p, "mirror_image_map_list", s("g1") + u64(10))
    cw(p, "mirror_image_map_remove", s("g1")), cw(p, "mirror_image_map_remove", s("g1"))
    h = "mh"
    mk(h)
    add = lambda n, i, ns: cw(h, "snapshot_add", s(n) + u64(i) + ns)
    add("m1", 1, MIRROR(0, 1, ("p1", "p2"))), add("m2", 2, MIRROR(2, 0, ("p1",), "pu", 9, 5, ((1, 2),)))
    add("u", 3, USER)
    cr(h, "snapshot_get", u64(2))
    ul = lambda i, u: cw(h, "mirror_image_snapshot_unlink_peer", u64(i) + s(u))
    ul(1, "p1"), ul(1, "p9"), ul(1, "p2"), ul(2, "p1"), ul(3, "p1"), ul(9, "p1")
    pr = lambda i, c, n: cw(h, "mirror_image_snapshot_set_copy_progress", u64(i) + u8(c) + u64(n))
    pr(1, 0, 77), pr(2, 1, 88), pr(3, 1, 1), pr(9, 1, 1)


# ---- the small classes --------------------------------------------------------------------------
def utime(sec_, nsec=0): return u32(sec_) + u32(nsec)


def hello():
    for b in b"", b"you", b"x" * 100, b"x" * 101:
        cr("none", "say_hello", b, "hello")
    W("he").create().run()
    for b in b"", b"you", b"x" * 101:
        cr("he", "say_hello", b, "hello")
    cw("hn", "record_hello", b"x" * 101, "hello")
    cw("hn", "record_hello", b"you", "hello"), cw("hn", "record_hello", b"you", "hello")
    cr("hn", "replay", b"", "hello")
    cw("hn", "turn_it_to_11", b"", "hello"), cw("hn", "turn_it_to_11", b"x", "hello")
    cw("hz", "turn_it_to_11", b"", "hello")
    cw("hn", "write_return_data", b"", "hello"), cw("hn", "write_return_data", b"x", "hello")
    cw("hn", "writes_dont_return_data", b"", "hello")
    cw("hn", "write_too_much_return_data", b"", "hello")
    cw("hn", "bad_reader", b"", "hello"), cr("hn", "bad_writer", b"", "hello")


def returnvec():
    v = lambda o="rw": W(o, RETURNVEC)
    v().call("hello", "write_return_data", b"").run(), v().call("hello", "write_return_data", b"x").run()
    v().put(0, b"data").run(), v().setx("a", b"1").call("hello", "write_return_data", b"").put(0, b"x").run()
    v().cmpx("a", "eq", b"1").run(), v().cmpx("a", "eq", b"1").put(0, b"y").run()
    v().cmpx("a", "eq", b"2").put(0, b"z").run(), v().cmpext(0, b"y").put(0, b"q").run()
    v().cmpext(0, b"y").put(0, b"q").run(), v().create(excl=True, failok=True).put(0, b"w").run()
    v("rv3").call("hello", "say_hello", b"").run(), v("rv3").create().call("hello", "say_hello", b"").run()
    v("rv3").call("hello", "say_hello", b"").run(), v("rv3").call("hello", "say_hello", b"x" * 50).put(0, b"x").run()
    W("rv3").call("hello", "say_hello", b"x" * 50).put(0, b"x").run()
    # The cluster forgets, once that has happened, what the object really is: last.
    v("rv3").call("hello", "write_too_much_return_data", b"").quiet().run()


def numops():
    n = lambda m, k, v: cw("num", m, s(k) + s(v), "numops")
    for m, k, v in (("add", "a", "5"), ("add", "a", "2.5"), ("mul", "a", "-3"), ("add", "a", "x"),
                    ("add", "a", ""), ("add", "a", " 1"), ("add", "a", "1 "), ("mul", "b", "7"),
                    ("add", "b", "1e20"), ("add", "b", "1"), ("add", "c", "0.1"), ("mul", "c", "3"),
                    ("add", "d", "123456789012"), ("add", "e", "0x10"), ("add", "f", "inf"),
                    ("mul", "f", "-1"), ("add", "g", "nan"), ("add", "h", "1e-7"), ("add", "i", "1_0"),
                    ("add", "j", "1e400"), ("add", "k", "1234567890"), ("add", "k", "0.5"),
                    ("mul", "k", "10"), ("add", "l", "+4"), ("add", "m", "."), ("add", "n", "5.")):
        n(m, k, v)
    W("num").omapset({"bad": b"zz"}).run()
    n("add", "bad", "1")
    cw("num", "add", b"\1", "numops")


def version():
    v = lambda n, t: sec(1, 1, u64(n), s(t))
    w = lambda m, b: cw("ver", m, b, "version")
    r = lambda m, b=b"": cr("ver", m, b, "version")
    cond = lambda n, t, c: sec(1, 1, v(n, t), u32(c))
    chk = lambda *c: sec(1, 1, v(0, ""), lst(*c))
    r("read")
    w("set", sec(1, 1, v(5, "tag"))), r("read")
    for c in range(0, 9):
        for n in 4, 5, 6:
            r("check_conds", chk(cond(n, "tag", c)))
        r("check_conds", chk(cond(5, "other", c)))
    w("inc", chk()), w("inc_conds", chk(cond(6, "tag", 1))), w("inc_conds", chk(cond(6, "tag", 1)))
    r("read"), r("check_conds", chk(cond(7, "tag", 1), cond(1, "", 4))), w("set", b""), w("inc", b"")
    r("check_conds", b""), W("ver2").create().run(), cr("ver2", "read", b"", "version")
    cr("ver2", "check_conds", chk(cond(0, "", 1)), "version")


def refcount():
    t = lambda tag, imp=0: sec(1, 1, s(tag), u8(imp))
    w = lambda o, m, b: cw(o, m, b, "refcount")
    r = lambda o, imp=0: cr(o, "read", sec(1, 1, u8(imp)), "refcount")
    w("rc0", "get", t("a")), w("rc0", "put", t("a"))
    W("rc").create().run()
    r("rc"), r("rc", 1), w("rc", "put", t("a"))
    w("rc", "get", t("a")), w("rc", "get", t("b")), w("rc", "get", t("a")), r("rc")
    w("rc", "put", t("zz")), w("rc", "put", t("a")), w("rc", "put", t("a")), w("rc", "get", t("a"))
    w("rc", "put", t("a")), r("rc"), w("rc", "put", t("b")), w("rc", "put", t("a"))
    W("rd").create().run()
    w("rd", "get", t("x", 1)), r("rd"), w("rd", "put", t("q", 1)), w("rd", "put", t("q", 1)), w("rd", "put", t("x", 1))
    W("re").create().run()
    w("re", "put", t("q", 1))
    w("rf", "set", sec(1, 1, lst(s("m"), s("l"), s("m")))), r("rf"), w("rf", "set", sec(1, 1, lst()))
    w("rf", "set", sec(1, 1, lst())), w("rf", "set", b""), w("rf", "get", b"")


def log():
    e = lambda i, sc, n, t, d: sec(2, 1, s(sc), s(n), utime(*t), s(d), s(i))
    w = lambda m, b: cw("lg", m, b, "log")
    r = lambda m, b: cr("lg", m, b, "log")
    ls = lambda f=0, mk="", t=0, n=0: sec(1, 1, utime(f), s(mk), utime(t), u32(n))
    r("list", ls()), w("trim", sec(2, 1, utime(0), utime(99), s(""), s("")))
    w("add", sec(2, 1, lst(e("1_0000000010.000000_x", "s", "n", (10, 0), "d1"),
                           e("1_0000000020.000000_y", "s", "n2", (20, 5000), "d2")), u8(1)))
    w("add", sec(2, 1, lst(e("1_0000000015.000000_z", "s", "late", (15, 0), "d3")), u8(1)))
    w("add", sec(2, 1, lst(e("1_0000000016.000000_z", "s", "late", (16, 0), "d4")), u8(0)))
    w("add", sec(1, 1, lst(e("zz", "s", "odd", (30, 0), "d5"))))
    r("info", sec(1, 1)), r("list", ls()), r("list", ls(n=2)), r("list", ls(12)), r("list", ls(12, t=16))
    r("list", ls(12, t=11)), r("list", ls(mk="1_0000000015.000000_z")), r("list", ls(n=-5)), r("list", b"")
    tr = lambda f, t, fm="", tm="": w("trim", sec(2, 1, utime(f), utime(t), s(fm), s(tm)))
    tr(11, 14), tr(0, 15), tr(0, 15), tr(0, 0, "", "1_0000000016.000000_z"), tr(0, 0, "", "1_0000000016.000000_z")
    w("trim", sec(1, 1, utime(0), utime(100))), w("trim", sec(1, 1, utime(0), utime(100)))
    r("list", ls()), r("info", sec(1, 1)), r("info", b"")


def timeindex():
    e = lambda t, x, v: sec(1, 1, utime(*t), s(x), s(v))
    w = lambda m, b: cw("ti", m, b, "timeindex")
    r = lambda m, b: cr("ti", m, b, "timeindex")
    ls = lambda f=0, mk="", t=0, n=1000: sec(1, 1, utime(f), s(mk), utime(t), u32(n))
    r("list", ls())
    w("add", sec(1, 1, lst(e((10, 7000), "a", "v1"), e((20, 0), "b", "v2"),
                           e((30, 999999999), "with space", "v4"), e((40, 0), "x" * 300, "v5"))))
    r("list", ls()), r("list", ls(t=1000)), r("list", ls(15, t=1000)), r("list", ls(15, t=25))
    r("list", ls(15, t=14)), r("list", ls(t=1000, n=2)), r("list", ls(t=1000, n=0)), r("list", ls(t=1000, n=-1))
    r("list", ls(mk="1_0000000020.000000_", t=1000)), r("list", b"")
    tr = lambda f, t, fm="", tm="": w("trim", sec(1, 1, utime(f), utime(t), s(fm), s(tm)))
    tr(11, 15), tr(0, 20), tr(0, 20), tr(0, 0, "", "1_0000000030"), tr(0, 100), tr(0, 100), w("trim", b"")


def cas():
    ho = lambda n, p=2, h=7: sec(4, 3, s(""), s(n), u64(NOSNAP), u32(h), u8(0), s(""), u64(p))
    w = lambda m, b: cw("ca", m, b, "cas")
    w("chunk_get_ref", sec(1, 1, ho("a"))), w("chunk_put_ref", sec(1, 1, ho("a")))
    mkc = lambda o, f, d: w("chunk_create_or_get_ref", sec(1, 1, o, u64(f), s(d)))
    mkc(ho("b"), 0, "data"), mkc(ho("a"), 1, "data"), mkc(ho("c"), 1, "other"), mkc(ho("c"), 0, "other")
    w("chunk_get_ref", sec(1, 1, ho("a"))), w("chunk_get_ref", sec(1, 1, ho("z", 1, 9)))
    w("chunk_put_ref", sec(1, 1, ho("q"))), w("chunk_get_ref", b"")
    cr("ca", "references_chunk", s("x"), "cas"), cr("ca", "references_chunk", b"", "cas")
    for n in "a", "a", "b", "c":
        w("chunk_put_ref", sec(1, 1, ho(n)))
    w("chunk_put_ref", sec(1, 1, ho("z", 1, 9)))


def cephfs():
    a = lambda idx, size, mt: cw("cf", "accumulate_inode_metadata", sec(
        1, 1, s("ceil"), s("mt"), s("sz"), u64(idx), u64(size), u64(mt)), "cephfs")
    a(3, 100, 50), a(2, 200, 60), a(4, 10, -5), a(4, 11, 5)
    W("cf").setx("mt", b"zz").setx("sz", b"123456789").run()
    a(1, 1, 1)
    cw("cf", "accumulate_inode_metadata", b"", "cephfs")


def journal():
    j = "jn"
    w = lambda m, b=b"": cw(j, m, b, "journal")
    r = lambda m, b=b"": cr(j, m, b, "journal")
    w("client_register", s("a") + s("x")), w("set_active_set", u64(1)), r("get_order")
    w("create", u8(24) + u8(4) + u64(3)), w("create", u8(24) + u8(4) + u64(3)), w("create", b"")
    for m in "order splay_width pool_id minimum_set active_set next_tag_tid".split():
        r("get_" + m)
    for n in 3, 3, 2, 5:
        w("set_active_set", u64(n))
    for n in 2, 2, 1, 6, 5:
        w("set_minimum_set", u64(n))
    w("set_active_set", u64(1)), w("set_active_set"), w("set_minimum_set")
    pos = lambda *p: sec(1, 1, lst(*[sec(1, 1, u64(a), u64(b), u64(c)) for a, b, c in p]))
    r("get_client", s("a")), r("client_list", s("") + u64(10))
    w("client_register", s("b") + s("bdata")), w("client_register", s("a") + s("adata"))
    w("client_register", s("a") + s("again")), w("client_register", s("a"))
    r("get_client", s("a")), r("client_list", s("") + u64(10)), r("client_list", s("a") + u64(10))
    r("client_list", s("") + u64(1)), r("client_list", s(""))
    w("client_update_data", s("a") + s("new")), w("client_update_data", s("zz") + s("new"))
    w("client_update_state", s("b") + u8(1)), w("client_update_state", s("zz") + u8(1))
    w("client_commit", s("a") + pos((1, 0, 5), (2, 0, 4))), w("client_commit", s("a") + pos((1, 0, 5), (2, 0, 4)))
    w("client_commit", s("a") + pos(*[(i, 0, 0) for i in range(5)])), w("client_commit", s("zz") + pos())
    w("client_register", s("c") + s("cdata")), w("client_commit", s("b") + pos((1, 1, 1)))
    w("client_register", s("d") + s("ddata")), w("client_unregister", s("d")), w("client_unregister", s("d"))
    tg = lambda tid, cl, d="t": w("tag_create", u64(tid) + u64(cl) + s(d))
    new = 2**64 - 1
    tg(1, new), tg(0, 0), tg(0, new, "first"), tg(0, new), tg(1, 0), tg(2, new), tg(3, 1), tg(4, 0), tg(5, 2)
    tg(5, 0), r("get_next_tag_tid"), r("get_tag", u64(3)), r("get_tag", u64(99))
    tl = lambda a, n, c, *cl: r("tag_list", u64(a) + u64(n) + s(c) + (u8(1) + u64(cl[0]) if cl else u8(0)))
    tl(0, 100, "a"), tl(0, 2, "a"), tl(2, 100, "a"), tl(0, 100, "a", 0), tl(0, 100, "zz"), tl(0, 0, "a")
    w("client_commit", s("a") + pos((1, 4, 5))), w("client_commit", s("c") + pos((1, 3, 5)))
    tl(0, 100, "a"), tl(0, 100, "c", 1), tg(6, 1)
    w("client_update_state", s("c") + u8(0)), w("client_unregister", s("c")), tl(0, 100, "b")
    for n in "", "g":
        cw("jd" + n, "guard_append", u64(10), "journal")
    a = lambda lim, d: cw("jd", "append", u64(lim) + s(d), "journal")
    a(0, "x"), a(10, "12345"), a(4096, "more"), a(1 << 20, "y" * 10)
    cw("jd", "guard_append", u64(10), "journal"), cw("jd", "guard_append", u64(1 << 20), "journal")
    cw("jd", "append", b"", "journal"), cw("jd", "guard_append", b"", "journal")


def user():
    o = "us"
    w = lambda m, b=b"": cw(o, m, b, "user")
    r = lambda m, b=b"": cr(o, m, b, "user")
    bk = lambda n, pl="": sec(9, 8, s(n), s("mk"), s("id-" + n), s(pl)) if pl else \
        sec(7, 3, s(n), s("dp"), s("mk"), s("id-" + n), s("ip"), s("xp"))
    en = lambda n, size=0, cnt=0, pl="", t=5: sec(
        9, 5, s(""), u64(size), u32(t), u64(cnt), bk(n, pl), u64((size + 4095) // 4096 * 4096), u8(0),
        utime(t, 7))
    st = lambda add, *e: w("set_buckets_info", sec(1, 1, lst(*e), u8(add), utime(9)))
    ls = lambda mk="", n=10, end="": r("list_buckets", sec(2, 1, s(mk), u32(n), s(end)))
    r("get_header", sec(1, 1)), st(0, en("nope")), st(1, en("b1", 100, 2), en("b2", 5000, 3, "pl"))
    r("get_header", sec(1, 1)), st(0, en("b1", 300, 4), en("zz", 1, 1)), r("get_header", sec(1, 1))
    st(1, en("b1", 999, 9, "", 77)), st(1, en("")), ls(), ls("b1"), ls("", 1), ls("", 0), ls("", 10, "b2"), ls("", -1)
    r("list_buckets", sec(1, 1, s(""), u32(5))), r("list_buckets"), w("set_buckets_info")
    w("complete_stats_sync", sec(1, 1, utime(50))), w("complete_stats_sync", sec(1, 1, utime(40)))
    rmb = lambda n: w("remove_bucket", sec(1, 1, bk(n)))
    rmb("b2"), rmb("b2"), rmb(""), r("get_header", sec(1, 1))
    w("reset_user_stats", sec(1, 1, utime(60))), r("get_header", sec(1, 1))
    w("reset_user_stats2", sec(1, 1, utime(70), s(""), sec(1, 1, u64(0), u64(0), u64(0))))
    w("reset_user_stats2", sec(1, 1, utime(70), s("b1"), sec(1, 1, u64(0), u64(0), u64(0))))
    r("get_header", sec(1, 1)), r("get_header")
    st(1, sec(5, 5, s(""), u64(8), u32(3), u64(1), sec(3, 3, s("old"), s("pool"), s("m"), u64(12)), u64(4096)))
    ls()


ALL = dict(data=data, checksum=checksum, xattr=xattr, omap=omap, lock=lock, rbd_header=rbd_header,
           rbd_snap=rbd_snap, rbd_clone=rbd_clone, rbd_dir=rbd_dir, rbd_map=rbd_map,
           rbd_data=rbd_data, rbd_group=rbd_group, rbd_migration=rbd_migration, rbd_old=rbd_old,
           rbd_mirror=rbd_mirror, hello=hello, returnvec=returnvec, numops=numops, version=version, refcount=refcount,
           log=log, timeindex=timeindex, cas=cas, cephfs=cephfs,
           journal=journal, user=user)
