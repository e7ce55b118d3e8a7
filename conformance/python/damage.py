"""Damages copies of objects in a cluster of this tree or a real one, and prints what scrubs say.

usage: damage.py glue|ceph DIR [COMMAND...]

The cluster is one of daemons.py. The OSD whose copies are damaged is stopped meanwhile. For every
kind of damage, on the primary and on another copy, the output has the errors that
`rados list-inconsistent-obj` lists, with what differs from run to run (ids of OSDs, versions)
replaced by words. After `ceph pg repair`, "left" lists what it has not mended, and "changed" the
objects that have another content than what was written. COMMAND is run while the damage is there
and known.
"""
import hashlib
import json
import os
import signal
import sys
import time

import rados

from daemons import DIR, GLUE, KIND, ceph, end, run, start, wait

MEANWHILE = sys.argv[3:]
POOL = "damaged"

# What is done to one copy: (command of the object store's tool, key, value).
DAMAGE = {
    "missing": [("remove", None, None)],
    "shorter": [("set-bytes", None, b"short")],
    "longer": [("set-bytes", None, b"long" * 3000)],
    "content": [("set-bytes", None, b"DATA" * 1000)],
    "attr value": [("set-attr", "_color", b"blue")],
    "attr gone": [("rm-attr", "_color", None)],
    "attr more": [("set-attr", "_shape", b"round")],
    "info gone": [("rm-attr", "_", None)],
    "info bad": [("set-attr", "_", b"\x01\x02\x03")],
    "omap value": [("set-omap", "key3", b"other")],
    "omap gone": [("rm-omap", "key3", None)],
    "omap more": [("set-omap", "key99", b"more")],
    "omap header": [("set-omaphdr", None, b"other header")],
    "two kinds": [("set-attr", "_color", b"blue"), ("set-bytes", None, b"short")],
}
HURTS = list(DAMAGE)

# Objects of whose data a bit is inverted in the store's file: what is read is not what was written.
ROTTEN = ["rotten-primary", "rotten-replica", "read-primary"]
# An object that is deleted, and then is there again on one copy.
GHOST = "ghost"


def pattern(name):
    """64 KiB that no other object has, nor any other part of this one."""
    return b"".join(hashlib.sha256(b"%s %d" % (name.encode(), i)).digest() for i in range(2048))


def pg():
    return ceph("pg", "ls-by-pool", POOL)["pg_stats"][0]


def clean():
    p = pg()["state"].split("+")
    return "active" in p and "clean" in p and "scrubbing" not in p


def stop(osd):
    end(osd, signal.SIGTERM)


def rot(osd, name):
    """Inverts a bit in each place of the OSD's file that has the object's first KiB."""
    data, hits = pattern(name)[:1024], 0
    with open("%s/osd.%d/block" % (DIR, osd), "r+b") as f:
        fd, end, at = f.fileno(), f.seek(0, 2), 0
        while at < end:
            try:
                at = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:
                break
            hole = os.lseek(fd, at, os.SEEK_HOLE)
            at -= at % 4096
            while at < hole:
                part = os.pread(fd, 1 << 22, at)
                i = part.find(data)
                while i >= 0:
                    os.pwrite(fd, bytes([data[0] ^ 1]), at + i)
                    hits += 1
                    i = part.find(data, i + 1)
                at += len(part)
    if hits == 0:
        sys.exit("the data of %s is not in the file of osd.%d" % (name, osd))


def row(osd, pgid, name):
    """The object as the tool names it, also when it is not there."""
    path = "%s/osd.%d" % (DIR, osd)
    if KIND == "glue":
        lines = run(GLUE, "store", "list", path, pgid).decode().splitlines()
        return [x for x in lines if json.loads(x)["oid"] == name][0]
    out = run("ceph-objectstore-tool", "--data-path", path, "--pgid", pgid, "--op", "list", name)
    return json.dumps(json.loads(out)[1])


def tool(osd, pgid, name, command, key, value):
    path = "%s/osd.%d" % (DIR, osd)
    if KIND == "glue":
        args = [GLUE, "store", "object", path, pgid, name, command]
    else:
        args = ["ceph-objectstore-tool", "--data-path", path, "--pgid", pgid, name, command]
    if key is not None:
        args.append(key)
    if KIND == "glue" and not command.startswith(("get", "list")):
        args.append("--force")
    return run(*args, input=value)


def objects(kind):
    return {where: "%s-%s" % (kind.replace(" ", "_"), where) for where in ("primary", "replica")}


def fill():
    """Makes an object for each kind and place."""
    with rados.Rados(conffile=DIR + "/ceph.conf", name="client.admin") as cluster:
        with cluster.open_ioctx(POOL) as io:
            for name in ROTTEN:
                io.write_full(name, pattern(name))
            io.write_full(GHOST, b"ghost")
            for kind in HURTS + ["sound"]:
                for name in objects(kind).values():
                    io.write_full(name, b"data" * 1000)
                    io.set_xattr(name, "color", b"green")
                    if kind.startswith("omap"):
                        with rados.WriteOpCtx() as op:
                            io.set_omap(op, tuple("key%d" % i for i in range(9)),
                                        tuple(b"value%d" % i for i in range(9)))
                            io.operate_write_op(op, name)


def changed():
    """The objects that have something else than what fill wrote."""
    with rados.Rados(conffile=DIR + "/ceph.conf", name="client.admin") as cluster:
        with cluster.open_ioctx(POOL) as io:
            out = [name for name in ROTTEN if io.read(name, 1 << 20) != pattern(name)]
            if GHOST in [o.key for o in io.list_objects()]:
                out.append(GHOST)
            for kind in HURTS + ["sound"]:
                for name in objects(kind).values():
                    good = io.read(name, 1 << 20) == b"data" * 1000
                    good &= dict(io.get_xattrs(name)) == {"color": b"green"}
                    if kind.startswith("omap"):
                        with rados.ReadOpCtx() as op:
                            it, _ = io.get_omap_vals(op, "", "", 99)
                            io.operate_read_op(op, name)
                            good &= dict(it) == {"key%d" % i: b"value%d" % i for i in range(9)}
                    if not good:
                        out.append(name)
    return sorted(out)


def scrub(command):
    """Orders a scrub or repair and waits for its end."""
    p = pg()
    before = p["last_deep_scrub_stamp"]
    end = time.time() + 120
    while pg()["last_deep_scrub_stamp"] == before:
        if time.time() > end:
            sys.exit("%s was not done: %s" % (command, pg()["state"]))
        run("ceph", "pg", command, p["pgid"])
        for _ in range(25):
            time.sleep(0.2)
            if pg()["last_deep_scrub_stamp"] != before:
                break
    wait("a clean PG", clean)


WORDS = ("version", "prior_version", "last_reqid", "mtime", "local_mtime", "user_version",
         "truncate_seq", "epoch", "pool")


def plain(v):
    """Replaces what differs from run to run."""
    if isinstance(v, list):
        return [plain(x) for x in v]
    if isinstance(v, dict):
        return {k: k.upper() if k in WORDS else plain(x) for k, x in v.items()}
    return v


def inconsistent(pgid):
    """The errors by object; of shards the primary's first, the damaged one before the others."""
    listed = json.loads(run("rados", "list-inconsistent-obj", pgid, "-f", "json"))
    out = {}
    for o in listed["inconsistents"]:
        for s in o["shards"]:
            s.pop("osd")
            for key in ("object_info",):
                if isinstance(s.get(key), str):
                    s[key] = "TEXT"
        o["shards"].sort(key=lambda s: (not s["primary"], -len(s["errors"]), json.dumps(plain(s))))
        out[o["object"]["name"]] = plain(o)
    return sorted(listed), out


def main():
    run("ceph", "osd", "set", "noout")
    run("ceph", "osd", "pool", "create", POOL, "1", "1")
    run("ceph", "osd", "pool", "application", "enable", POOL, "rados")
    wait("a clean PG", clean)
    fill()
    p = pg()
    pgid, acting = p["pgid"], p["acting"]
    stop(acting[1])
    ghost = row(acting[1], pgid, GHOST)
    attrs = {a: tool(acting[1], pgid, GHOST, "get-attr", a, None)
             for a in tool(acting[1], pgid, GHOST, "list-attrs", None, None).decode().split()}
    start(acting[1])
    wait("a clean PG", lambda: clean() and pg()["acting"] == acting)
    run("rados", "-p", POOL, "rm", GHOST)
    for where, osd in (("primary", acting[0]), ("replica", acting[1])):
        stop(osd)
        for name in ROTTEN:
            if name.endswith(where):
                rot(osd, name)
        if where == "replica":
            tool(osd, pgid, ghost, "set-bytes", None, b"ghost")
            for a, value in attrs.items():
                tool(osd, pgid, ghost, "set-attr", a, value)
        for kind in HURTS:
            for command, key, value in DAMAGE[kind]:
                tool(osd, pgid, objects(kind)[where], command, key, value)
        start(osd)
        wait("a clean PG", lambda: clean() and pg()["acting"] == acting)
    if run("rados", "-p", POOL, "get", "read-primary", "-") != pattern("read-primary"):
        sys.exit("what is read is not what was written")
    wait("a clean PG", clean)
    scrub("deep-scrub")
    wait("an inconsistent PG", lambda: "inconsistent" in pg()["state"])
    keys, found = inconsistent(pgid)
    checks = ceph("health")["checks"]
    report = {
        "inconsistent pgs": len(json.loads(run("rados", "list-inconsistent-pg", POOL))),
        "keys": keys,
        "objects": found,
        "health": {k: checks.get(k, {}).get("severity")
                   for k in ("OSD_SCRUB_ERRORS", "PG_DAMAGED")},
        "text": [checks[k]["summary"]["message"] for k in ("OSD_SCRUB_ERRORS", "PG_DAMAGED")],
    }
    if MEANWHILE:
        run(*MEANWHILE, env={**os.environ, "GLUE_TEST_DAMAGED": POOL})
    scrub("repair")
    scrub("deep-scrub")
    report["left"] = sorted(inconsistent(pgid)[1])
    report["left state"] = "inconsistent" in pg()["state"]
    if not report["left"]:
        report["changed"] = changed()
    run("ceph", "osd", "unset", "noout")
    json.dump(report, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
