"""Damages clones and heads in a cluster of this tree or a real one, and prints what scrubs say.

usage: clones.py glue|ceph DIR

As damage.py, but every copy gets the same damage: then copies agree, and what does not fit together
is a head and its clones. Of every object there are two clones and a head of other sizes. The output
has what `rados list-inconsistent-snapset` and `list-inconsistent-obj` list; ids of snapshots are
replaced by "s1" and "s2", and what differs from run to run by words. Then, what is left of it after
`ceph pg repair`.
"""
import json
import sys

import rados

import damage
from damage import POOL, clean, pg, plain, scrub, stop
from daemons import DIR, GLUE, KIND, ceph, run, start, wait

# What is done: (which of an object, command of the object store's tool, key, value).
DAMAGE = {
    "sound": [],
    "clone gone": [("s1", "remove", None, None)],
    "newer clone gone": [("s2", "remove", None, None)],
    "clones gone": [("s1", "remove", None, None), ("s2", "remove", None, None)],
    "clone shorter": [("s1", "set-bytes", None, b"short")],
    "clone longer": [("s2", "set-bytes", None, b"long" * 3000)],
    "clone info gone": [("s1", "rm-attr", "_", None)],
    "clone info bad": [("s2", "set-attr", "_", b"\x01\x02\x03")],
    "head gone": [("head", "remove", None, None)],
    "head info gone": [("head", "rm-attr", "_", None)],
    "head info bad": [("head", "set-attr", "_", b"\x01\x02\x03")],
    "head and clone gone": [("head", "remove", None, None), ("s1", "remove", None, None)],
    "head shorter": [("head", "set-bytes", None, b"short")],
}
# An object whose snapshot is removed; its clone is there again then.
GHOST = "ghost"


def name(kind):
    return kind.replace(" ", "-")


def fill():
    """Makes the objects; returns the ids of the two snapshots that stay."""
    ids = []
    with rados.Rados(conffile=DIR + "/ceph.conf", name="client.admin") as cluster:
        with cluster.open_ioctx(POOL) as io:
            def write(names, data):
                for n in names:
                    io.write_full(n, data)
            names = [name(k) for k in DAMAGE]
            write(names, b"data" * 1000)
            for snap, data in (("one", b"more" * 1500), ("two", b"most" * 2000)):
                io.create_snap(snap)
                ids.append(io.lookup_snap(snap).snap_id)
                write(names, data)
            # Only the ghost has a clone for the third.
            io.write_full(GHOST, b"ghost")
            io.create_snap("three")
            io.write_full(GHOST, b"none")
    return ids


def unsnap():
    with rados.Rados(conffile=DIR + "/ceph.conf", name="client.admin") as cluster:
        with cluster.open_ioctx(POOL) as io:
            io.remove_snap("three")


def rows(osd, pgid, obj):
    """The object and its clones as the tool names them, by the id of the snapshot; 0: the head."""
    path = "%s/osd.%d" % (DIR, osd)
    out = {}
    if KIND == "glue":
        for line in run(GLUE, "store", "list", path, pgid).decode().splitlines():
            o = json.loads(line)
            if o["oid"] == obj:
                out[0 if o["snapid"] == "head" else int(o["snapid"], 16)] = line
        return out
    for line in run("ceph-objectstore-tool", "--data-path", path, "--pgid", pgid, "--op", "list",
                    obj).decode().splitlines():
        o = json.loads(line)[1]
        if o["oid"] == obj:
            out[max(o["snapid"], 0)] = json.dumps(o)
    return out


def tool(osd, pgid, row, command, key, value):
    if KIND == "ceph" and command == "remove":
        run("ceph-objectstore-tool", "--data-path", "%s/osd.%d" % (DIR, osd), "--pgid", pgid,
            "--force", row, command)
        return None
    return damage.tool(osd, pgid, row, command, key, value)


def hurt(osd, pgid, ids, ghost):
    """Damages all objects of one OSD that is stopped."""
    for kind, list_ in DAMAGE.items():
        have = rows(osd, pgid, name(kind))
        for which, command, key, value in list_:
            tool(osd, pgid, have[dict(zip(("s1", "s2"), ids)).get(which, 0)], command, key, value)
    for row, data, attrs in ghost:
        tool(osd, pgid, row, "set-bytes", None, data)
        for a, value in attrs.items():
            tool(osd, pgid, row, "set-attr", a, value)


def save(osd, pgid):
    """The clones of the ghost."""
    out = []
    for snap, row in sorted(rows(osd, pgid, GHOST).items()):
        if snap:
            names = tool(osd, pgid, row, "list-attrs", None, None).decode().split()
            out.append((row, tool(osd, pgid, row, "get-bytes", None, None),
                        {a: tool(osd, pgid, row, "get-attr", a, None) for a in names}))
    if not out:
        sys.exit("there is no clone of " + GHOST)
    return out


def words(v, ids):
    """Replaces ids of snapshots, wherever they are."""
    if isinstance(v, list):
        return [words(x, ids) for x in v]
    if isinstance(v, dict):
        return {k: words(x, ids) for k, x in v.items()}
    is_id = isinstance(v, int) and not isinstance(v, bool) and v in ids
    return "s%d" % (ids.index(v) + 1) if is_id else v


def listed(pgid, what, ids):
    out = {}
    got = json.loads(run("rados", "list-inconsistent-" + what, pgid, "-f", "json"))
    for o in got["inconsistents"]:
        if what == "obj":
            o["shards"].sort(key=lambda s: (not s["primary"], s["osd"]))
            for s in o["shards"]:
                s.pop("osd")
        at = o.get("object", o)
        key = "%s %s" % (at["name"], words(at["snap"], ids))
        if key in out:
            sys.exit("%s is listed twice" % key)
        out[key] = plain(words(o, ids))
    return out


def report(pgid, ids):
    checks = ceph("health")["checks"]
    return {
        "snapsets": listed(pgid, "snapset", ids),
        "objects": listed(pgid, "obj", ids),
        "inconsistent": "inconsistent" in pg()["state"],
        "health": sorted(k for k in checks if k in ("OSD_SCRUB_ERRORS", "PG_DAMAGED")),
    }


def main():
    run("ceph", "osd", "set", "noout")
    run("ceph", "osd", "pool", "create", POOL, "1", "1")
    run("ceph", "osd", "pool", "application", "enable", POOL, "rados")
    wait("a clean PG", clean)
    ids = fill()
    p = pg()
    pgid, acting = p["pgid"], p["acting"]
    stop(acting[1])
    ghost = save(acting[1], pgid)
    start(acting[1])
    wait("a clean PG", lambda: clean() and pg()["acting"] == acting)
    unsnap()

    def trimmed():
        state = pg()["state"].split("+")
        return "snaptrim" not in state and "snaptrim_wait" not in state and \
            pg()["stat_sum"]["num_object_clones"] == 2 * len(DAMAGE)
    wait("the trimmed clone", trimmed)
    for osd in acting:
        stop(osd)
    for osd in acting:
        hurt(osd, pgid, ids, ghost)
    for osd in acting:
        start(osd)
    wait("a clean PG", lambda: clean() and pg()["acting"] == acting)
    scrub("deep-scrub")
    wait("an inconsistent PG", lambda: "inconsistent" in pg()["state"])
    out = {"found": report(pgid, ids)}
    scrub("repair")
    scrub("deep-scrub")
    left = report(pgid, ids)
    out["left"] = {"snapsets": sorted(left["snapsets"]), "objects": sorted(left["objects"]),
                   "inconsistent": left["inconsistent"]}
    run("ceph", "osd", "unset", "noout")
    json.dump(out, sys.stdout, indent=1, sort_keys=True)
    print()


main()
