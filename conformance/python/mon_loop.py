"""Commands and writes until standard input is closed, each checked, then one line of JSON.

Arguments: ceph.conf, pool. Every command's effect is read back, and in the end all that was
acknowledged has to be there. "gap" is the longest time without an answered command, "gaps" are all
of more than LONG seconds, with when they ended. "late" is how much too late a thread that sleeps for
a tenth of a second woke up, at most: what the machine adds.
"""
import json
import sys
import threading
import time

import rados

conf, pool = sys.argv[1:3]
KEYS = 50
LONG = 4
stop = threading.Event()
out = {"commands": 0, "writes": 0, "gap": 0.0, "gap_at": 0.0, "write_gap": 0.0, "errors": [],
       "gaps": [], "late": 0.0}


def connect():
    c = rados.Rados(conffile=conf, rados_id="admin")
    c.connect()
    return c


def command(c, **args):
    r, data, text = c.mon_command(json.dumps(args), b"")
    if r != 0:
        raise RuntimeError("%s: %d %s" % (args, r, text))
    return data.decode()


def guarded(f):
    def run():
        try:
            f()
        except Exception as e:  # reported, and fails the test
            out["errors"].append("%s: %r" % (f.__name__, e))
    return run


@guarded
def commands():
    c, n, last = connect(), 0, time.time()
    have = {}

    def answered():
        nonlocal last
        now = time.time()
        if now - last > out["gap"]:
            out["gap"], out["gap_at"] = now - last, now
        if now - last > LONG:
            out["gaps"].append([now - last, now])
        last = now

    while not stop.is_set():
        key = "loop/%d" % (n % KEYS)
        command(c, prefix="config-key set", key=key, val=str(n))
        answered()
        have[key] = str(n)
        got = command(c, prefix="config-key get", key=key)
        if got != str(n):
            raise RuntimeError("%s is %s, %d was acknowledged" % (key, got, n))
        if n % 20 == 0:
            who = "client.loop%d" % (n % 3)
            key1 = json.loads(command(c, prefix="auth get-or-create", entity=who, format="json"))
            key2 = json.loads(command(c, prefix="auth get-or-create", entity=who, format="json"))
            if key1[0]["key"] != key2[0]["key"]:
                raise RuntimeError("get-or-create of %s gave two keys" % who)
            command(c, prefix="auth rm", entity=who)
        answered()
        n += 1
        out["commands"] = n
        time.sleep(0.005)
    for key, val in have.items():
        got = command(c, prefix="config-key get", key=key)
        if got != val:
            raise RuntimeError("%s is %s in the end, %s was acknowledged" % (key, got, val))


@guarded
def writes():
    c = connect()
    io, n, last = c.open_ioctx(pool), 0, time.time()
    have = {}
    while not stop.is_set():
        name, data = "loop%d" % (n % KEYS), b"%020d" % n * 200
        io.write_full(name, data)
        have[name] = data
        now = time.time()
        out["write_gap"] = max(out["write_gap"], now - last)
        last, n = now, n + 1
        out["writes"] = n
        time.sleep(0.005)
    for name, data in have.items():
        if io.read(name, len(data) + 1) != data:
            raise RuntimeError("%s is not what was acknowledged" % name)


@guarded
def machine():
    while not stop.is_set():
        begin = time.time()
        time.sleep(0.1)
        out["late"] = max(out["late"], time.time() - begin - 0.1)


threads = [threading.Thread(target=f) for f in (commands, writes, machine)]
for t in threads:
    t.start()
sys.stdin.read()
stop.set()
for t in threads:
    t.join()
print(json.dumps(out))
