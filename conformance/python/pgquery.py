"""Brings the one PG of a pool of a cluster of this tree, or a real one, into states that operators
have to understand, and prints what is told of it in each.

usage: pgquery.py glue|ceph DIR

The cluster has three OSDs (daemons.py). The output has by state what `ceph pg PGID query` answers,
what `ceph health detail` says of the PG, and in which of the lists of stuck PGs and of PGs by state
it is.
"""
import json
import os
import signal
import sys
import time

import rados

from daemons import DIR, KIND, ceph, end, run, start, up, wait

POOL = "asked"


def pg():
    return ceph("pg", "ls-by-pool", POOL)["pg_stats"][0]


def state(*words):
    s = pg()["state"].split("+")
    return all(w in s for w in words)


def kill(*osds):
    for osd in osds:
        end(osd, signal.SIGKILL)
    run("ceph", "osd", "down", *map(str, osds))
    wait("their end", lambda: not set(osds) & set(up()))


def write(*names):
    with rados.Rados(conffile=DIR + "/ceph.conf", name="client.admin") as cluster:
        with cluster.open_ioctx(POOL) as io:
            for name in names:
                io.write_full(name, os.urandom(100))


def settle():
    """Brings everything back."""
    for flag in ("norecover", "nobackfill"):
        run("ceph", "osd", "unset", flag)
    start(*[o for o in range(3) if o not in up()])
    wait("a clean PG", lambda: state("active", "clean"))
    return pg()["acting"]


def forces(*whom):
    """An operator has something recovered first, and takes that back."""
    for command, there in (("force-recovery", True), ("cancel-force-recovery", False)):
        run("ceph", *whom[:-1], command, whom[-1])
        wait(command, lambda: state("forced_recovery") == there)


def told(word):
    """What is told of the PG, which is in a state of that name."""
    pgid = pg()["pgid"]
    def detail():
        checks = json.loads(run("ceph", "health", "detail", "-f", "json"))["checks"]
        return sorted("%s: %s" % (k, d["message"]) for k, c in checks.items()
                      for d in c.get("detail", []) if d["message"].startswith("pg %s " % pgid))
    if word != "clean":
        wait("the health", lambda: [d for d in detail() if word.split("_")[-1] in d])
    time.sleep(3)  # stuck is what has been so for a second when the manager heard of it
    stuck = ceph("pg", "dump_stuck", "inactive", "1")
    return {
        "query": json.loads(run("ceph", "pg", pgid, "query")),
        "health": [d.replace(pgid, "PGID") for d in detail()],
        "listed": pgid in [p["pgid"] for p in ceph("pg", "ls", word)["pg_stats"]],
        "stuck": pgid in [p["pgid"] for p in stuck["stuck_pg_stats"]],
    }


def main():
    report = {}
    for flag in ("noout", "noscrub", "nodeep-scrub"):
        run("ceph", "osd", "set", flag)
    for key in ("osd_min_pg_log_entries", "osd_max_pg_log_entries"):
        run("ceph", "config", "set", "osd", key, "10")
    if KIND == "ceph":
        run("ceph", "config", "set", "osd", "osd_pg_log_trim_min", "1")
    run("ceph", "osd", "pool", "create", POOL, "1", "1")
    run("ceph", "osd", "pool", "application", "enable", POOL, "rados")
    run("ceph", "osd", "pool", "set", POOL, "min_size", "1")
    a, b, c = settle()
    write("one", "two", "three")
    report["clean"] = told("clean")

    # The newest version of an object is on two OSDs that are down.
    kill(c)
    write("one")
    run("ceph", "osd", "set", "norecover")
    start(c)
    wait("three that act", lambda: len(pg()["acting"]) == 3 and state("active"))
    forces("pg", pg()["pgid"])
    forces("osd", "pool", POOL)
    kill(a, b)
    run("ceph", "osd", "unset", "norecover")
    wait("an unfound object", lambda: state("recovery_unfound"))
    report["unfound"] = told("recovery_unfound")
    a, b, c = settle()

    # The survivor is not the newest.
    kill(c)
    write("two")
    kill(a, b)
    start(c)
    wait("a PG that is down", lambda: state("down"))
    report["down"] = told("down")
    settle()

    # The only OSD with the newest writes is lost while another is filled from it.
    run("ceph", "osd", "pool", "set", POOL, "size", "2")
    wait("two that act", lambda: len(pg()["acting"]) == 2 and state("active", "clean"))
    run("ceph", "osd", "pool", "set", POOL, "min_size", "1")
    a, b = settle()
    kill(b)
    write(*["o%d" % i for i in range(400)])
    run("ceph", "osd", "set", "nobackfill")
    run("ceph", "osd", "out", str(b))
    wait("one to be filled", lambda: len(pg()["up"]) == 2 and
         [s for s in pg()["state"].split("+") if s.startswith("backfill")])
    write("one")
    kill(a)
    start(b)
    wait("a PG that is down", lambda: state("down"))
    run("ceph", "osd", "lost", str(a), "--yes-i-really-mean-it")
    wait("a PG that is incomplete", lambda: state("incomplete"))
    report["incomplete"] = told("incomplete")
    json.dump(report, sys.stdout, indent=1, sort_keys=True)
    print()


main()
