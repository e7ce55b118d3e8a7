"""The cluster of this tree, or the real one, whose OSDs a script stops and starts: its first
arguments are glue or ceph, and the folder with DIR/osd.N, DIR/ceph.conf and, of each OSD, the
process id DIR/run/osd.N.pid.
"""
import json
import os
import subprocess
import sys
import time

KIND, DIR = sys.argv[1:3]
GLUE = os.path.join(os.path.dirname(__file__), "..", "..", "bin", "glue")


def run(*args, **kw):
    r = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw)
    if r.returncode != 0:
        sys.exit("%s: exit code %d: %s" % (" ".join(args), r.returncode, r.stderr.decode()))
    return r.stdout


def ceph(*args):
    out = run("ceph", *args, "-f", "json")
    return json.loads(out) if out.strip() else None


def wait(what, cond, limit=120):
    end = time.time() + limit
    while not cond():
        if time.time() > end:
            sys.exit("waited %d s for %s: %s\n%s" % (limit, what, run("ceph", "health", "detail"),
                                                     run("ceph", "pg", "dump", "pgs")))
        time.sleep(0.2)


def up():
    return sorted(o["osd"] for o in ceph("osd", "dump")["osds"] if o["up"])


def pid_file(osd):
    return "%s/run/osd.%d.pid" % (DIR, osd)


def end(osd, signal):
    """Sends the signal to an OSD and waits until it is gone."""
    with open(pid_file(osd)) as f:
        pid = int(f.read())
    os.kill(pid, signal)

    def ended():
        try:
            with open("/proc/%d/stat" % pid) as f:
                return f.read().rsplit(")", 1)[1].split()[0] == "Z"
        except OSError:
            return True
    wait("the end of osd.%d" % osd, ended)


def start(*osds):
    for osd in osds:
        cmd = ["ceph-osd", "-f", "-c", DIR + "/ceph.conf", "-i", str(osd)]
        if KIND == "glue":
            cmd = [GLUE, "osd", "--data", DIR, "--id", str(osd)]
        with open("%s/log/osd.%d.log" % (DIR, osd), "ab") as log:
            p = subprocess.Popen(cmd, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                 start_new_session=True)
        with open(pid_file(osd), "w") as f:
            f.write("%d\n" % p.pid)
    wait("OSDs %s up" % (osds,), lambda: set(osds) <= set(up()))
