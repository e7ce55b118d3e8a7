"""Writes what TestSpaceOfPools knows the space of, or removes it: usage.py fill|empty. A pool for
each function below is there; the functions say what objects take in blocks of 4 KiB."""
import sys

import rados

ALL = {}


def fills(f):
    ALL[f.__name__] = f
    return f


def block(n):
    return bytes(i * 7 + n & 255 for i in range(4096))


@fills
def sizes(io):
    """Each object takes whole blocks: 1, 1, 2, 1024, 3, 1; and 2 after 3 were cut."""
    for n in (0, 1, 4096, 5000, 4 << 20):
        io.write_full('of %d' % n, block(n) * (n // 4096) + block(0)[:n % 4096])
    io.write('appended', block(1)[:1000], 0)
    io.write('appended', block(2)[:2000], 1000)
    io.write('over itself', block(1) * 2 + block(3)[:1808], 0)
    io.write('over itself', block(2), 4096)
    io.write_full('cut', block(5) * 3)
    io.trunc('cut', 5000)
    io.write_full('longer', block(6))
    io.trunc('longer', 1 << 20)
    io.write_full('gone', block(1) * 9)
    io.remove_object('gone')


@fills
def sparse(io):
    """Holes take nothing: 1 block, 1 block for 100 bytes, 32 blocks of 48 that were written."""
    io.write('far', block(1), 1 << 20)
    io.write('far', block(2)[:100], 3 << 20)
    io.write('zeroed', block(3) * 48, 0)
    with rados.WriteOpCtx() as op:
        op.zero(16 * 4096, 16 * 4096)  # the binding of 16.2 takes one for the other
        io.operate_write_op(op, 'zeroed')


@fills
def omap(io):
    """No block, and 30 * (5 + 200) + 3 + 1 bytes of omap."""
    with rados.WriteOpCtx() as op:
        pairs = [('%05d' % i, b'x' * 200) for i in range(30)]
        io.set_omap(op, tuple(k for k, _ in pairs), tuple(v for _, v in pairs))
        io.operate_write_op(op, 'keys')
    for value in b'longer than it will be', b'v':
        with rados.WriteOpCtx() as op:
            io.set_omap(op, ('key',), (value,))
            io.operate_write_op(op, 'keys')
    with rados.WriteOpCtx() as op:
        io.set_omap(op, ('none',), (b'',))
        io.remove_omap_keys(op, ('none',))
        io.operate_write_op(op, 'keys')


@fills
def clones(io):
    """1 MiB stored twice, and 256 blocks with 2 more of the head."""
    io.write_full('head', block(1) * 256)
    io.create_snap('snap')
    io.write('head', block(2), 64 << 10)
    io.write('head', block(3), 512 << 10)


def empty(name, io):
    if name == 'clones':
        io.remove_snap('snap')
    for o in list(io.list_objects()):
        io.remove_object(o.key)


cluster = rados.Rados(conffile='')
cluster.connect()
for name, f in ALL.items():
    with cluster.open_ioctx(name) as io:
        if sys.argv[1] == 'fill':
            f(io)
        else:
            empty(name, io)
cluster.shutdown()
print('\nOK')
