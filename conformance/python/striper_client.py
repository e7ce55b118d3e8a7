"""The stock libradosstriper as a process: a line of JSON on standard input is a call on a striped
object of a pool, the line that answers has "err", 0 or an errno, and what was asked for. Bytes are
base64.

usage: CEPH_CONF=... striper_client.py POOL
"""
import base64
import ctypes as C
import errno
import json
import os
import sys

sys.dont_write_bytecode = True
from suite.librados import P, SIZE, U64, Cluster, Io, x  # noqa: E402
from suite.striping import lib, s  # noqa: E402

cluster = Cluster(os.environ['CEPH_CONF'], rados_osd_op_timeout=60, rados_mon_op_timeout=60)
if cluster.connect() < 0:
    sys.exit('cannot connect')
io = Io(cluster, sys.argv[1])


def read(h, c):
    b = C.create_string_buffer(c['n'])
    n = s('read', h, c['oid'], b, SIZE(c['n']), U64(c['off']))
    return n, dict(data=base64.b64encode(b.raw[:n]).decode()) if isinstance(n, int) else {}


def stat(h, c):
    n, at = U64(), C.c_long()
    return s('stat', h, c['oid'], C.byref(n), C.byref(at)), dict(n=n.value)


def getxattr(h, c):
    b = C.create_string_buffer(200)
    n = s('getxattr', h, c['oid'], c['name'], b, SIZE(200))
    return n, dict(data=base64.b64encode(b.raw[:n]).decode()) if isinstance(n, int) else {}


def data(c):
    b = base64.b64decode(c['data'] or '')
    return b, SIZE(len(b))


CALLS = dict(
    read=read, stat=stat, getxattr=getxattr,
    write=lambda h, c: (s('write', h, c['oid'], *data(c), U64(c['off'])), {}),
    write_full=lambda h, c: (s('write_full', h, c['oid'], *data(c)), {}),
    append=lambda h, c: (s('append', h, c['oid'], *data(c)), {}),
    trunc=lambda h, c: (s('trunc', h, c['oid'], U64(c['off'])), {}),
    remove=lambda h, c: (s('remove', h, c['oid']), {}),
    setxattr=lambda h, c: (s('setxattr', h, c['oid'], c['name'], *data(c)), {}),
)


def answer(c):
    h = P()
    s('create', io.h, C.byref(h))
    for name, v in zip(('stripe_unit', 'stripe_count', 'object_size'), c['layout']):
        if s('set_object_layout_' + name, h, v) != 0:
            return dict(err=errno.EINVAL)
    r, more = CALLS[c['call']](h, c)
    lib.rados_striper_destroy(h)
    return dict(more, err=getattr(errno, r) if isinstance(r, str) else 0)


print(json.dumps(dict(n=x('get_instance_id', cluster.h))), flush=True)
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
os._exit(0)
