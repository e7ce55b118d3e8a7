"""Snapshots: those that clients manage, on the suite's pool, and those of pools."""
import ctypes as C
import time

from .case import case
from .calls import Completion
from .librados import HEAD, SNAPDIR, U64, word, x


class Snaps:
    """A client's own snapshots on an ioctx of its own."""

    def __init__(self, t, pool=None):
        self.t, self.io, self.ids = t, t.another(pool), []

    def take(self):
        id = U64()
        self.t.ok(self.io.ioctx_selfmanaged_snap_create(C.byref(id)))
        self.ids.insert(0, id.value)
        self.use()
        return id.value

    def use(self, ids=None):
        ids = self.ids if ids is None else ids
        self.t.ok(self.io.snap_context(ids[0] if ids else 0, ids))

    def drop(self, id):
        self.t.ok(self.io.ioctx_selfmanaged_snap_remove(id))
        self.ids.remove(id)
        self.use()

    def put(self, data, **more):
        self.t.ok(self.io.run(self.t.oid, [('write_full', data)])[0])

    def at(self, snap, f=None):
        self.io.snap_read(snap)
        got = f() if f else self.io.read(self.t.oid)
        self.io.snap_read(HEAD)
        return got

    def listed(self):
        self.io.snap_read(SNAPDIR)
        r, outs = self.io.run(self.t.oid, [('list_snaps',)])
        self.io.snap_read(HEAD)
        return outs[0] if r == 0 else r


@case('snap/read at each')
def _(t):
    s, ids = Snaps(t), []
    for i in range(4):
        s.put(b'%d' % i)
        ids.append(s.take())
    s.put(b'head')
    t.eq([s.at(id) for id in ids] + [s.at(HEAD)], [b'0', b'1', b'2', b'3', b'head'])


@case('snap/unchanged between')
def _(t):
    s = Snaps(t)
    s.put(b'a')
    one, two = s.take(), s.take()
    s.put(b'b')
    t.eq((s.at(one), s.at(two), s.at(HEAD)), (b'a', b'a', b'b'))
    seq, clones = s.listed()
    t.eq((seq, [c[0] for c in clones], clones[0][1]), (two, [two, HEAD], [one, two]))


@case('snap/not there yet')
def _(t):
    s = Snaps(t)
    one = s.take()
    s.put(b'a')
    two = s.take()
    t.eq((s.at(one), s.at(two)), ('ENOENT', b'a'))
    t.eq(s.at(one, lambda: s.io.stat(t.oid)), 'ENOENT')


@case('snap/of nothing')
def _(t):
    s = Snaps(t)
    one = s.take()
    t.eq(s.at(one), 'ENOENT')
    t.eq(s.at(HEAD), 'ENOENT')
    t.eq(s.listed(), 'ENOENT')


@case('snap/attributes and keys')
def _(t):
    s = Snaps(t)
    t.ok(s.io.run(t.oid, [('write_full', b'a'), ('setxattr', 'x', b'1'), ('omap_set', {b'k': b'1'}),
                          ('set_header', b'h1')])[0])
    one = s.take()
    t.ok(s.io.run(t.oid, [('setxattr', 'x', b'2'), ('omap_set', {b'k': b'2', b'l': b'2'}),
                          ('set_header', b'h2')])[0])
    t.eq(s.at(one, lambda: s.io.state(t.oid)),
         dict(data=b'a', x={b'x': b'1'}, k={b'k': b'1'}, h=b'h1'))
    t.eq(s.io.state(t.oid), dict(data=b'a', x={b'x': b'2'}, k={b'k': b'2', b'l': b'2'}, h=b'h2'))


@case('snap/overlaps')
def _(t):
    s = Snaps(t)
    s.put(b'a' * 100)
    one = s.take()
    t.ok(s.io.write(t.oid, b'b' * 10, 10, 20))
    seq, clones = s.listed()
    t.eq((seq, clones), (one, [(one, [one], [(0, 20), (30, 70)], 100), (HEAD, [], [], 100)]))
    t.ok(s.io.trunc(t.oid, 50))
    t.eq(s.listed()[1][0][2], [(0, 20), (30, 20)])
    t.ok(s.io.write(t.oid, b'c' * 100, 100, 0))
    t.eq(s.listed()[1][0][2], [])
    t.eq(s.at(one), b'a' * 100)


@case('snap/sizes of clones')
def _(t):
    s = Snaps(t)
    for n in (10, 20, 5):
        s.put(b'x' * n)
        s.take()
    s.put(b'')
    t.eq([c[3] for c in s.listed()[1]], [10, 20, 5, 0])


@case('snap/removed object')
def _(t):
    s = Snaps(t)
    s.put(b'a')
    one = s.take()
    t.ok(s.io.remove(t.oid))
    t.eq((s.at(one), s.at(HEAD)), (b'a', 'ENOENT'))
    t.eq(s.io.remove(t.oid), 'ENOENT')
    seq, clones = s.listed()
    t.eq([(c[0], c[1]) for c in clones], [(one, [one])])
    s.put(b'again')
    two = s.take()
    s.put(b'more')
    t.eq((s.at(one), s.at(two), s.at(HEAD)), (b'a', b'again', b'more'))


@case('snap/removed and made between')
def _(t):
    s = Snaps(t)
    s.put(b'a')
    one = s.take()
    t.ok(s.io.remove(t.oid))
    two = s.take()
    s.put(b'b')
    t.eq((s.at(one), s.at(two), s.at(HEAD)), (b'a', 'ENOENT', b'b'))


@case('snap/rollback')
def _(t):
    s = Snaps(t)
    t.ok(s.io.run(t.oid, [('write_full', b'first'), ('setxattr', 'x', b'1'),
                          ('omap_set', {b'k': b'1'})])[0])
    one = s.take()
    t.ok(s.io.run(t.oid, [('write_full', b'second, longer'), ('setxattr', 'y', b'2'),
                          ('omap_clear',)])[0])
    two = s.take()
    t.ok(s.io.ioctx_selfmanaged_snap_rollback(t.oid, one))
    t.eq(s.io.state(t.oid), dict(data=b'first', x={b'x': b'1'}, k={b'k': b'1'}, h=b''))
    t.eq(s.at(two), b'second, longer')
    t.ok(s.io.ioctx_selfmanaged_snap_rollback(t.oid, two))
    t.eq(s.io.read(t.oid), b'second, longer')


@case('snap/rollback to the head')
def _(t):
    s = Snaps(t)
    s.put(b'a')
    one = s.take()
    t.ok(s.io.ioctx_selfmanaged_snap_rollback(t.oid, one))
    t.eq(s.at(HEAD), b'a')


@case('snap/rollback to before it was there')
def _(t):
    s = Snaps(t)
    one = s.take()
    s.put(b'a')
    t.ok(s.io.ioctx_selfmanaged_snap_rollback(t.oid, one))
    t.eq(s.at(HEAD), 'ENOENT')


@case('snap/rollback of a removed object')
def _(t):
    s = Snaps(t)
    s.put(b'a')
    one = s.take()
    t.ok(s.io.remove(t.oid))
    t.ok(s.io.ioctx_selfmanaged_snap_rollback(t.oid, one))
    t.eq(s.at(HEAD), b'a')


@case('snap/rollback in a vector')
def _(t):
    s = Snaps(t)
    s.put(b'a')
    one = s.take()
    s.put(b'b')
    t.ok(s.io.run(t.oid, [('snap_rollback', one)])[0])
    t.eq(s.at(HEAD), b'a')


@case('snap/write at a snapshot')
def _(t):
    s = Snaps(t)
    s.put(b'a')
    one = s.take()
    s.io.snap_read(one)
    t.eq(s.io.write_full(t.oid, b'x', 1), 'EROFS')
    t.eq(s.io.remove(t.oid), 'EROFS')
    s.io.snap_read(HEAD)


@case('snap/context that is not in order')
def _(t):
    s = Snaps(t)
    one, two = s.take(), s.take()
    t.eq(s.io.snap_context(two, [one, two]), 'EINVAL')
    t.eq(s.io.snap_context(one, [two, one]), 'EINVAL')
    s.use()
    s.put(b'a')


@case('snap/older context')
def _(t):
    s = Snaps(t)
    s.put(b'a')
    one = s.take()
    s.put(b'b')
    s.use([])
    s.put(b'c')
    t.eq((s.at(one), s.at(HEAD)), (b'a', b'c'))
    r, _ = s.io.run(t.oid, [('write_full', b'd')], flags=512)
    t.eq(r, word(-85))


@case('snap/removed snapshot', slow=True)
def _(t):
    s = Snaps(t)
    s.put(b'a')
    one = s.take()
    s.put(b'b')
    two = s.take()
    s.put(b'c')
    s.drop(one)
    t.until(lambda: [c[0] for c in s.listed()[1]] == [two, HEAD], 'the clone is trimmed', 40)
    t.eq((s.at(two), s.at(HEAD)), (b'b', b'c'))


@case('snap/removed snapshot of a removed object', slow=True)
def _(t):
    s = Snaps(t)
    s.put(b'a')
    one = s.take()
    t.ok(s.io.remove(t.oid))
    s.drop(one)
    t.until(lambda: s.listed() == 'ENOENT', 'all of it is gone', 40)


@case('snap/reads of other kinds')
def _(t):
    s = Snaps(t)
    s.put(b'hello')
    one = s.take()
    s.put(b'x')
    t.eq(s.at(one, lambda: s.io.run(t.oid, [('stat',), ('read', 1, 2), ('getxattrs',),
                                            ('sparse_read', 0, 10)])),
         (0, [5, b'el', {}, ([(0, 5)], b'hello')]))
    t.eq(s.at(one, lambda: s.io.run(t.oid, [('cmpext', 0, b'hello')])), (0, [0]))
    t.eq(s.at(one, lambda: s.io.call(t.oid, 'hello', 'say_hello', b'')), b'Hello, world!')


@case('snap/copy_from a snapshot')
def _(t):
    s = Snaps(t)
    s.put(b'old')
    one = s.take()
    s.put(b'new')
    s.io.snap_read(one)
    t.ok(t.io.run(t.oid + '-copy', [('copy_from', s.io, t.oid)])[0])
    s.io.snap_read(HEAD)
    t.holds(b'old', t.oid + '-copy')


@case('snap/copy_from onto an object with a clone')
def _(t):
    s = Snaps(t)
    s.put(b'old')
    one = s.take()
    t.make(b'other', t.oid + '-source')
    t.ok(s.io.run(t.oid, [('copy_from', t.io, t.oid + '-source')])[0])
    t.eq((s.at(one), s.at(HEAD)), (b'old', b'other'))


@case('snap/asynchronous')
def _(t):
    s, id, c = Snaps(t), U64(), Completion()
    s.put(b'a')
    x('aio_ioctx_selfmanaged_snap_create', s.io.h, C.byref(id), c.h)
    t.ok(c.wait())
    t.true(id.value > 0, 'no id')
    t.ok(s.io.snap_context(id.value, [id.value]))
    s.put(b'b')
    t.eq(s.at(id.value), b'a')
    c = Completion()
    x('aio_ioctx_selfmanaged_snap_remove', s.io.h, id, c.h)
    t.ok(c.wait())


@case('snap/list of objects has heads only')
def _(t):
    from .listing import listed
    s = Snaps(t)
    s.io.namespace(t.oid)
    s.put(b'a')
    s.take()
    s.put(b'b')
    t.eq(listed(s.io), [t.oid])
    t.ok(s.io.remove(t.oid))
    t.eq(listed(s.io), [t.oid])  # it has a clone
    t.eq(s.io.stat(t.oid), 'ENOENT')


@case('snap/watch of an object with clones')
def _(t):
    from .watching import Watch, notify
    s = Snaps(t)
    s.put(b'a')
    s.take()
    w = Watch(t, s.io, reply=b'r')
    s.put(b'b')
    t.eq(notify(t, b'x'), (0, [b'r'], 0))
    t.ok(w.close())


@case('snap/lists of a fresh object')
def _(t):
    s = Snaps(t)
    s.put(b'abc')
    t.eq(s.listed(), (0, [(HEAD, [], [], 3)]))


@case('snap/pool takes no snapshots of its own then')
def _(t):
    Snaps(t).take()
    t.eq(t.io.ioctx_snap_create('s'), 'EINVAL')


# ---- snapshots of a pool -------------------------------------------------------------------------
def names_of(io):
    ids = (U64 * 20)()
    n = x('ioctx_snap_list', io.h, ids, 20)
    out = {}
    for id in ids[:n]:
        buf = C.create_string_buffer(100)
        x('ioctx_snap_get_name', io.h, id, buf, 100)
        out[buf.value.decode()] = id
    return out


@case('poolsnap/all of it', slow=True)
def _(t):
    pool = t.suite.make_pool('rados-suite-snaps', 4)
    io = t.another(pool)
    t.ok(io.write_full('a', b'old', 3))
    t.ok(io.ioctx_snap_create('one'))
    t.eq(io.ioctx_snap_create('one'), 'EEXIST')
    t.ok(x('wait_for_latest_osdmap', t.cluster.h))
    t.ok(io.write_full('a', b'newer', 5))
    id, stamp, buf = U64(), C.c_long(), C.create_string_buffer(100)
    t.ok(io.ioctx_snap_lookup('one', C.byref(id)))
    t.eq(io.ioctx_snap_lookup('none', C.byref(U64())), 'ENOENT')
    t.ok(io.ioctx_snap_get_name(id.value, buf, 100))
    t.eq(buf.value, b'one')
    t.eq(io.ioctx_snap_get_name(id.value, buf, 2), 'ERANGE')
    t.eq(io.ioctx_snap_get_name(9999, buf, 100), 'ENOENT')
    t.ok(io.ioctx_snap_get_stamp(id.value, C.byref(stamp)))
    t.true(abs(stamp.value - time.time()) < 120, stamp.value)
    t.eq(names_of(io), {'one': id.value})
    io.snap_read(id.value)
    t.eq(io.read('a'), b'old')
    io.snap_read(HEAD)
    t.eq(io.read('a'), b'newer')
    t.ok(io.ioctx_snap_create('two'))
    t.ok(x('wait_for_latest_osdmap', t.cluster.h))
    t.ok(io.remove('a'))
    t.eq(sorted(names_of(io)), ['one', 'two'])
    t.ok(io.ioctx_snap_rollback('a', 'one'))
    t.eq(io.read('a'), b'old')
    t.ok(io.rollback('a', 'two'))
    t.eq(io.read('a'), b'newer')
    t.eq(io.ioctx_snap_rollback('a', 'none'), 'ENOENT')
    t.ok(io.ioctx_snap_remove('one'))
    t.eq(io.ioctx_snap_remove('one'), 'ENOENT')
    t.ok(x('wait_for_latest_osdmap', t.cluster.h))
    t.eq(sorted(names_of(io)), ['two'])
    t.eq(io.ioctx_selfmanaged_snap_create(C.byref(U64())), 'EINVAL')
    t.suite.drop_pool(pool)


@case('poolsnap/by the tool', slow=True)
def _(t):
    import os
    import subprocess
    pool = t.suite.make_pool('rados-suite-mksnap', 1)

    def rados(*args):
        p = subprocess.run(['rados', '-p', pool, *args], capture_output=True, timeout=60,
                           env=dict(os.environ, CEPH_CONF=t.suite.conf))
        return p.returncode, p.stdout
    io = t.another(pool)
    t.ok(io.write_full('a', b'old', 3))
    t.eq(rados('mksnap', 's')[0], 0)
    t.ok(x('wait_for_latest_osdmap', t.cluster.h))
    t.ok(io.write_full('a', b'new', 3))
    t.true(rados('-s', 's', 'get', 'a', '-')[1].endswith(b'old'), 'get at the snapshot')
    t.true(b'1 snaps' in rados('lssnap')[1], 'lssnap')
    t.true(b'cloneid' in rados('listsnaps', 'a')[1], 'listsnaps')
    t.eq(rados('rollback', 'a', 's')[0], 0)
    t.eq(io.read('a'), b'old')
    t.eq(rados('rmsnap', 's')[0], 0)
    t.suite.drop_pool(pool)


