"""A client that manages snapshots itself and keeps a plain copy of everything for each.

Arguments: pool, seed, seconds. What objects hold, now and at every snapshot, must be what the copies
say, through writes, truncations, deletes, rollbacks and removals of snapshots, whatever happens to
the cluster meanwhile. Then all is removed; one line of JSON is printed."""
import json
import random
import sys
import time

import rados

POOL, SEED, SECONDS = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
OBJECTS, MOST = 12, 6
rng = random.Random(SEED)
PREFIX = 'snaps%d-' % SEED
done = dict(writes=0, reads=0, rollbacks=0, snapshots=0, removed=0)


def names():
    return [PREFIX + str(i) for i in range(OBJECTS)]


def read(io, name):
    try:
        data = io.read(name, 1 << 20)
    except rados.ObjectNotFound:
        return None
    attrs = {k: v for k, v in io.get_xattrs(name)}
    return data, attrs.get('a')


def check(io, want, where):
    for name in names():
        got = read(io, name)
        if got != want.get(name):
            sys.exit('%s %s: %r, want %r' % (name, where, brief(got), brief(want.get(name))))
        done['reads'] += 1


def brief(v):
    return v and (len(v[0]), hash(v[0]), v[1])


def change(io, head, name):
    data, attr = head.get(name, (b'', None))
    kind = rng.randrange(6)
    if kind == 0 and name in head:
        io.remove_object(name)
        del head[name]
    elif kind == 1 and name in head:
        size = rng.randrange(len(data) + 1)
        io.trunc(name, size)
        head[name] = data[:size], attr
    elif kind == 2:
        value = b'%d' % rng.randrange(1 << 30)
        io.set_xattr(name, 'a', value)
        head[name] = data, value
    elif kind == 3:
        data = bytes([rng.randrange(256)]) * rng.randrange(20000)
        io.write_full(name, data)
        head[name] = data, attr
    else:
        off, new = rng.randrange(60000), bytes([rng.randrange(256)]) * rng.randrange(1, 9000)
        io.write(name, new, off)
        data = data.ljust(off, b'\0')
        head[name] = data[:off] + new + data[off + len(new):], attr
    done['writes'] += 1


def main():
    cluster = rados.Rados(conffile='', conf=dict(rados_osd_op_timeout='120'))
    cluster.connect()
    io, back = cluster.open_ioctx(POOL), cluster.open_ioctx(POOL)
    head, at, snaps = {}, {}, []  # snapshots newest first
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        r = rng.randrange(40)
        if r == 0 and len(snaps) < MOST:
            s = io.create_self_managed_snap()
            snaps.insert(0, s)
            at[s] = dict(head)
            done['snapshots'] += 1
        elif r == 1 and len(snaps) >= MOST - 2:
            s = rng.choice(snaps)
            snaps.remove(s)
            del at[s]
            io.remove_self_managed_snap(s)
            done['removed'] += 1
        elif r < 4 and snaps:
            s, name = rng.choice(snaps), rng.choice(names())
            io.set_self_managed_snap_write(snaps)
            io.rollback_self_managed_snap(name, s)
            head.pop(name, None)
            if name in at[s]:
                head[name] = at[s][name]
            done['rollbacks'] += 1
        elif r < 7 and snaps:
            s = rng.choice(snaps)
            back.set_read(s)
            check(back, at[s], 'at %d' % s)
        else:
            io.set_self_managed_snap_write(snaps)
            change(io, head, rng.choice(names()))
    check(io, head, 'now')
    for s in snaps:
        back.set_read(s)
        check(back, at[s], 'at %d' % s)
    io.set_self_managed_snap_write(snaps)
    for name in list(head):
        io.remove_object(name)
    for s in snaps:
        back.set_read(s)
        check(back, at[s], 'at %d, deleted now' % s)
    for s in snaps:
        io.remove_self_managed_snap(s)
    print(json.dumps(done))


main()
