"""The stock librados as a process: a line of JSON on standard input is a call on an object of a
pool, the line that answers has "err", 0 or an errno, and what was read. Bytes are {"b": base64} in
a call and base64 in an answer, maps of them {"m": {key: base64}}.

usage: CEPH_CONF=... rados_client.py POOL
"""
import base64
import ctypes as C
import errno
import json
import os
import sys

sys.dont_write_bytecode = True
from suite.librados import HEAD, U64, Cluster, Io, x  # noqa: E402
from suite.listing import listed  # noqa: E402
from suite.watching import Watch, lock, lockers, notify  # noqa: E402

cluster = Cluster(os.environ['CEPH_CONF'], rados_osd_op_timeout=60, rados_mon_op_timeout=60)
if cluster.connect() < 0:
    sys.exit('cannot connect')


class Place:
    """What the cases of the suite call their context."""
    undo, ok = [], staticmethod(lambda r: None)

    def __init__(self, io, oid):
        self.io, self.oid = io, oid


watches = []


def given(v):
    if isinstance(v, dict) and 'b' in v:
        return base64.b64decode(v['b'] or '')
    if isinstance(v, dict):
        return {k.encode(): base64.b64decode(b or '') for k, b in v['m'].items()}
    return v


def text(b):
    return base64.b64encode(b).decode()


def texts(pairs):
    return {k.decode(): text(v) for k, v in pairs.items()}


class Refused(Exception):
    pass


def ok(r):
    """A result, which is no errno."""
    if isinstance(r, str):
        raise Refused(r)
    return r


# ---- the calls: each takes an ioctx and the call, and gives a part of the answer ----------------
def change(io, c):
    ok(io.run(c['oid'], [tuple(map(given, s)) for s in c['steps']], write=True)[0])


def look(io, c):
    s = ok(io.state(c['oid']))
    if s is None:
        raise Refused('ENOENT')
    return dict(data=text(s['data']), x=texts(s['x']), k=texts(s['k']), h=text(s['h']))


def read(io, c):
    return dict(data=text(ok(io.read(c['oid'], c['n'], c['off']))))


def list_objects(io, c):
    return dict(names=[b'/'.join(p or b'' for p in o).decode() for o in ok(listed(io, key=True))])


def take_lock(io, c):
    kind = ['shared', 'tag'] if c['shared'] else []
    ok(lock(io, c['oid'], c['cookie'], *kind, name=c['name']))


def unlock(io, c):
    ok(io.unlock(c['oid'], c['name'], c['cookie']))


def list_lockers(io, c):
    return dict(names=[b'/'.join(p).decode() for p in ok(lockers(io, c['oid'], c['name']))[2]])


def take_snap(io, c):
    id = U64()
    ok(io.ioctx_selfmanaged_snap_create(C.byref(id)))
    return dict(n=id.value)


def drop_snap(io, c):
    ok(io.ioctx_selfmanaged_snap_remove(c['n']))


def watch(io, c):
    io = Io(cluster, sys.argv[1])
    io.namespace(c['ns'])
    io.locator(c['key'] or None)
    w = Watch(Place(io, c['oid']), reply=c['text'].encode())
    ok(w.r)
    watches.append(w)
    return dict(n=len(watches) - 1)


def heard(io, c):
    return dict(names=[b.decode() for b in watches[c['n']].heard])


def unwatch(io, c):
    ok(watches[c['n']].close())


def tell(io, c):
    r, replies, _ = notify(Place(io, c['oid']), c['text'].encode())
    ok(r)
    return dict(names=[b.decode() for b in replies])


CALLS = dict(change=change, look=look, read=read, list=list_objects, lock=take_lock, unlock=unlock,
             lockers=list_lockers, takesnap=take_snap, dropsnap=drop_snap, watch=watch, heard=heard,
             unwatch=unwatch, notify=tell)


def answer(c):
    io = Io(cluster, sys.argv[1])
    io.namespace(c['ns'])
    io.locator(c['key'] or None)
    io.snap_read(c['snap'] or HEAD)
    if c['snaps']:
        ok(io.snap_context(c['snaps'][0], c['snaps']))
    try:
        return dict(CALLS[c['call']](io, c) or {}, err=0)
    except Refused as e:
        return dict(err=getattr(errno, str(e)))
    finally:
        io.close()


print(json.dumps(dict(n=x('get_instance_id', cluster.h))), flush=True)
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
os._exit(0)
