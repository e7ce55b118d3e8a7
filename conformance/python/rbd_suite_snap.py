"""Snapshots: making, listing, reading, rolling back, protecting, limiting, of groups too."""
import datetime

import rbd

from rbd_frame import C, MIB, case, pattern

OBJ = 4 * MIB
KINDS = [('default', 61), ('plain', 1), ('journaled', 61 | rbd.RBD_FEATURE_JOURNALING)]
USER, GROUP, TRASH = (rbd.RBD_SNAP_NAMESPACE_TYPE_USER, rbd.RBD_SNAP_NAMESPACE_TYPE_GROUP,
                      rbd.RBD_SNAP_NAMESPACE_TYPE_TRASH)
NEEDS = ('snapshots',)


def names(image):
    return [s['name'] for s in image.list_snaps()]


@case(NEEDS, rows=KINDS)
def create_and_read(t, features):
    image, data = t.image(features=features), pattern(6 * MIB)
    image.write(data, MIB)
    image.create_snap('s')
    image.write(b'after', 2 * MIB)
    image.discard(4 * MIB, OBJ)
    snap = t.open(snapshot='s')
    t.ok(snap.read(MIB, 6 * MIB) == data)
    t.eq(image.read(2 * MIB, 5), b'after')
    t.eq(image.read(4 * MIB, 4), bytes(4))
    t.errno(30, snap.write, b'x', 0)


@case(NEEDS)
def list(t):
    image = t.image()
    for n in ('b', 'a', 'c'):
        image.create_snap(n)
    rows = [s for s in image.list_snaps()]
    t.eq([(s['name'], s['size'], s['namespace']) for s in rows],
         [(n, 8 * MIB, USER) for n in ('b', 'a', 'c')])
    t.eq([s['id'] for s in rows], sorted(s['id'] for s in rows))


@case(NEEDS)
def list_by_command(t):
    t.image().create_snap('s')
    rows = t.json('snap', 'ls', t.name)
    t.eq([(r['name'], r['size'], r['protected']) for r in rows], [('s', 8 * MIB, 'false')])
    t.has(t.cli('snap', 'ls', t.name), 'SNAPID', 's', '8 MiB')
    t.eq(t.json('info', t.name)['snapshot_count'], 1)


@case(NEEDS)
def by_command(t):
    t.create()
    t.cli('snap', 'create', '--no-progress', t.name + '@s')
    t.cli('snap', 'create', '--no-progress', t.name + '@s', code=17, says='(17) File exists')
    t.cli('snap', 'rename', t.name + '@s', t.name + '@t')
    t.cli('snap', 'rm', '--no-progress', t.name + '@s', code=2)
    t.cli('snap', 'rm', '--no-progress', t.name + '@t')
    t.eq(t.json('snap', 'ls', t.name), [])


@case(NEEDS)
def exists(t):
    image = t.image()
    image.create_snap('s')
    t.raises(rbd.ImageExists, image.create_snap, 's')
    t.eq(names(image), ['s'])


@case(NEEDS, rows=[('remove', lambda i: i.remove_snap('nope')),
                   ('protect', lambda i: i.protect_snap('nope')),
                   ('unprotect', lambda i: i.unprotect_snap('nope')),
                   ('is_protected', lambda i: i.is_protected_snap('nope')),
                   ('rollback', lambda i: i.rollback_to_snap('nope')),
                   ('rename', lambda i: i.rename_snap('nope', 'x')),
                   ('set', lambda i: i.set_snap('nope')),
                   ('set_by_id', lambda i: i.set_snap_by_id(99999)),
                   ('remove_by_id', lambda i: i.remove_snap_by_id(99999)),
                   ('get_id', lambda i: i.snap_get_id('nope')),
                   ('get_name', lambda i: i.snap_get_name(99999)),
                   ('namespace', lambda i: i.snap_get_namespace_type(99999))])
def missing(t, call):
    t.errno(2, call, t.image())


@case(NEEDS)
def ids_and_names(t):
    image = t.image()
    image.create_snap('s')
    number = image.snap_get_id('s')
    t.eq((image.snap_get_name(number), image.snap_exists('s'), image.snap_exists('x')),
         ('s', True, False))
    t.eq(image.snap_get_namespace_type(number), USER)
    now = datetime.datetime.utcnow()
    t.ok(abs((image.get_snap_timestamp(number) - now).total_seconds()) < 60)


@case(NEEDS)
def remove(t):
    image = t.image()
    image.write(b'x', 0)
    image.create_snap('a')
    image.write(b'y', 0)
    image.create_snap('b')
    image.write(b'z', 0)
    image.remove_snap('a')
    t.eq(names(image), ['b'])
    t.eq((image.read(0, 1), t.open(snapshot='b').read(0, 1)), (b'z', b'y'))
    image.remove_snap_by_id(image.snap_get_id('b'))
    t.eq(names(image), [])


@case(NEEDS)
def rename(t):
    image = t.image()
    image.write(b'x', 0)
    image.create_snap('a')
    image.create_snap('c')
    image.rename_snap('a', 'b')
    t.eq(names(image), ['b', 'c'])
    t.raises(rbd.ImageExists, image.rename_snap, 'b', 'c')
    t.eq(t.open(snapshot='b').read(0, 1), b'x')


@case(NEEDS)
def many_generations(t):
    """Every one of twenty snapshots keeps what was there."""
    image, model, kept = t.image(size=3 * OBJ), bytearray(3 * OBJ), []
    for i in range(20):
        data = pattern(50000, i)
        at = (i * 700001) % (3 * OBJ - 50000)
        image.write(data, at)
        model[at:at + 50000] = data
        if i % 3 == 2:
            image.write_zeroes(at + 1000, 3000)
            model[at + 1000:at + 4000] = bytes(3000)
        image.create_snap(f's{i}')
        kept.append(bytes(model))
    for i in range(0, 20, 2):
        image.remove_snap(f's{i}')
    for i in range(1, 20, 2):
        image.set_snap(f's{i}')
        t.ok(image.read(0, 3 * OBJ) == kept[i], f's{i}')
    image.set_snap(None)
    t.ok(image.read(0, 3 * OBJ) == model, 'head')


@case(NEEDS, rows=KINDS)
def rollback(t, features):
    image, data = t.image(features=features), pattern(8 * MIB)
    image.write(data, 0)
    image.create_snap('s')
    image.write(b'new' * 100000, 3 * MIB)
    image.discard(OBJ, OBJ)
    image.resize(16 * MIB)
    image.write(b'grown', 12 * MIB)
    image.rollback_to_snap('s')
    t.eq(image.size(), 8 * MIB)
    t.ok(image.read(0, 8 * MIB) == data)
    image.resize(16 * MIB)
    t.eq(image.read(12 * MIB, 5), bytes(5))


@case(NEEDS)
def rollback_brings_nothing_back(t):
    """What was not there in the snapshot is gone."""
    image = t.image()
    image.create_snap('s')
    image.write(b'x', 5 * MIB)
    image.rollback_to_snap('s')
    t.eq(image.read(5 * MIB, 1), b'\0')
    t.eq(t.json('diff', '--whole-object', t.name), [])


@case(NEEDS)
def rollback_by_command(t):
    image = t.image()
    image.write(b'old', 0)
    image.create_snap('s')
    image.write(b'new', 0)
    image.close()
    t.cli('snap', 'rollback', '--no-progress', t.name + '@s')
    t.eq(t.open().read(0, 3), b'old')


@case(NEEDS)
def size_of_a_snapshot(t):
    image = t.image()
    image.create_snap('s')
    image.resize(20 * MIB)
    t.eq((t.open(snapshot='s').size(), image.size()), (8 * MIB, 20 * MIB))
    image.resize(OBJ)
    image.set_snap('s')
    t.eq((image.size(), len(image.read(0, 8 * MIB))), (8 * MIB, 8 * MIB))


@case(NEEDS)
def shrink_keeps_the_snapshot(t):
    image, data = t.image(), pattern(8 * MIB)
    image.write(data, 0)
    image.create_snap('s')
    image.resize(MIB + 5)
    image.resize(8 * MIB)
    t.ok(image.read(0, 8 * MIB) == data[:MIB + 5] + bytes(7 * MIB - 5))
    t.ok(t.open(snapshot='s').read(0, 8 * MIB) == data)


@case(NEEDS)
def seen_by_others(t):
    """A snapshot that one client makes holds for the writes of another."""
    a = t.image(features=1)
    b = t.open(io=t.ioctx(cluster=t.client()))
    b.write(b'before', 0)
    b.flush()
    a.create_snap('s')
    b.write(b'behind', 0)
    b.flush()
    t.eq(t.open(snapshot='s').read(0, 6), b'before')
    t.eq(names(b), ['s'])


@case(NEEDS)
def by_one_that_does_not_own(t):
    """The owner of the lock makes the snapshot."""
    a, b = t.image(), t.open()
    a.write(b'x', 0)
    b.create_snap('s')
    t.eq((names(a), a.is_exclusive_lock_owner()), (['s'], True))
    b.remove_snap('s')
    t.eq(names(a), [])


@case(NEEDS)
def with_writes_under_way(t):
    """All that was answered before a snapshot is in it."""
    image = t.image(size=32 * MIB)
    for i in range(5):
        ops = [image.aio_write(bytes([i + 1]) * 4096, j * MIB, lambda c: None) for j in range(32)]
        for op in ops:
            op.wait_for_complete_and_cb()
        late = [image.aio_write(b'\xff' * 4096, j * MIB + 8192, lambda c: None) for j in range(32)]
        image.create_snap(f's{i}')
        for op in late:
            op.wait_for_complete_and_cb()
    for i in range(5):
        snap = t.open(snapshot=f's{i}')
        for j in range(32):
            t.eq(snap.read(j * MIB, 4096), bytes([i + 1]) * 4096)


@case(NEEDS)
def purge(t):
    image = t.image()
    for i in range(4):
        image.create_snap(f's{i}')
    image.protect_snap('s1')
    image.close()
    t.cli('snap', 'purge', '--no-progress', t.name)
    t.eq([r['name'] for r in t.json('snap', 'ls', t.name)], ['s1'])
    t.open().unprotect_snap('s1')
    t.stack.pop_all().close()
    t.cli('snap', 'purge', '--no-progress', t.name)
    t.eq(t.json('snap', 'ls', t.name), [])


@case(NEEDS)
def protect(t):
    image = t.image()
    image.create_snap('s')
    t.eq(image.is_protected_snap('s'), False)
    image.protect_snap('s')
    t.eq(image.is_protected_snap('s'), True)
    t.errno(16, image.protect_snap, 's')
    t.errno(16, image.remove_snap, 's')
    image.unprotect_snap('s')
    t.errno(22, image.unprotect_snap, 's')
    image.remove_snap('s')


@case(NEEDS)
def protect_by_command(t):
    t.image().create_snap('s')
    t.cli('snap', 'protect', t.name + '@s')
    t.eq(t.json('snap', 'ls', t.name)[0]['protected'], 'true')
    t.cli('snap', 'rm', '--no-progress', t.name + '@s', code=16, says='is protected from removal')
    t.cli('snap', 'unprotect', t.name + '@s')


@case(NEEDS)
def protect_without_layering(t):
    image = t.image(features=0)
    image.create_snap('s')
    t.errno(38, image.protect_snap, 's')


@case(NEEDS)
def remove_flags(t):
    image = t.image()
    image.create_snap('s')
    image.protect_snap('s')
    image.remove_snap2('s', rbd.RBD_SNAP_REMOVE_UNPROTECT)
    t.eq(names(image), [])


@case(NEEDS)
def limit(t):
    image = t.image()
    t.eq(image.get_snap_limit(), (1 << 64) - 1)
    image.set_snap_limit(2)
    t.eq(image.get_snap_limit(), 2)
    image.create_snap('a')
    image.create_snap('b')
    t.errno(122, image.create_snap, 'c')
    image.remove_snap_limit()
    image.create_snap('c')


@case(NEEDS)
def limit_below_what_there_is(t):
    image = t.image()
    image.create_snap('a')
    image.create_snap('b')
    t.errno(34, image.set_snap_limit, 1)


@case(NEEDS)
def limit_by_command(t):
    t.create()
    t.cli('snap', 'limit', 'set', '--limit', '1', t.name)
    t.eq(t.json('info', t.name).get('snapshot_limit'), 1)
    t.cli('snap', 'create', '--no-progress', t.name + '@a')
    t.cli('snap', 'create', '--no-progress', t.name + '@b', code=122,
          says='(122) Disk quota exceeded')
    t.cli('snap', 'limit', 'clear', t.name)


@case(NEEDS)
def image_with_snapshots_is_kept(t):
    image = t.image()
    image.create_snap('s')
    image.close()
    t.raises(rbd.ImageHasSnapshots, t.rbd.remove, t.io, t.name)
    t.cli('rm', '--no-progress', t.name, code=39, says='image has snapshots')
    t.open().remove_snap('s')
    t.stack.pop_all().close()
    t.rbd.remove(t.ioctx(), t.name)


@case(NEEDS)
def quiesce_flags(t):
    image = t.image()
    image.create_snap('s', rbd.RBD_SNAP_CREATE_SKIP_QUIESCE)
    image.create_snap('u', rbd.RBD_SNAP_CREATE_IGNORE_QUIESCE_ERROR)
    t.eq(names(image), ['s', 'u'])


@case(NEEDS)
def of_an_image_in_the_trash(t):
    image = t.image()
    image.create_snap('s')
    number = image.id()
    image.close()
    t.rbd.trash_move(t.io, t.name)
    t.raises(rbd.ImageHasSnapshots, t.rbd.trash_remove, t.io, number)


@case(NEEDS)
def object_map_of_a_snapshot(t):
    image = t.image(size=40 * MIB)
    image.write(b'x', 2 * OBJ)
    image.create_snap('s')
    image.write(b'x', 5 * OBJ)
    image.close()
    t.eq([(r['name'], r.get('snapshot'), r['used_size']) for r in t.json('du', t.name)['images']],
         [(t.name, 's', OBJ), (t.name, None, OBJ)])
    t.cli('object-map', 'check', '--no-progress', t.name)
    t.cli('object-map', 'check', '--no-progress', t.name + '@s')
    t.cli('object-map', 'rebuild', '--no-progress', t.name + '@s')
    t.eq([d['offset'] for d in t.json('diff', t.name + '@s')], [2 * OBJ])


@case(NEEDS)
def sparsify_keeps_the_snapshot(t):
    image = t.image()
    image.write(bytes(MIB) + b'x', 0)
    image.create_snap('s')
    image.sparsify(65536)
    t.eq(t.open(snapshot='s').read(MIB, 1), b'x')
    t.eq(image.read(MIB, 1), b'x')


@case(NEEDS)
def journaled_snapshots_replay(t):
    image = t.image(features=61 | rbd.RBD_FEATURE_JOURNALING)
    image.write(b'a', 0)
    image.create_snap('s')
    image.write(b'b', 0)
    image.rollback_to_snap('s')
    image.close()
    image = t.open()
    t.eq((names(image), image.read(0, 1)), (['s'], b'a'))


@case(NEEDS)
def c_timestamp_and_flags(t):
    import ctypes
    t.image().create_snap('s')
    c = C(t, read_only=True)
    t.eq(c.snap_set(b's'), 0)
    size, flags = ctypes.c_uint64(), ctypes.c_uint64()
    t.eq((c.get_size(ctypes.byref(size)), c.get_flags(ctypes.byref(flags))), (0, 0))
    t.eq((size.value, flags.value), (8 * MIB, 0))


# Of groups.

def group(t, count=2):
    t.rbd.group_create(t.io, t.name)
    g, images = rbd.Group(t.io, t.name), []
    for i in range(count):
        images.append(t.image(f'{t.name}_{i}'))
        images[-1].write(b'old', 0)
        g.add_image(t.io, f'{t.name}_{i}')
    return g, images


@case(NEEDS)
def group_snapshot(t):
    g, images = group(t)
    g.create_snap('s')
    t.eq([(s['name'], s['state']) for s in g.list_snaps()],
         [('s', rbd.RBD_GROUP_SNAP_STATE_COMPLETE)])
    for image in images:
        rows = [s for s in image.list_snaps()]
        t.eq([(s['namespace'], s['group']['name'], s['group']['snap_name'])
              for s in rows], [(GROUP, t.name, 's')])


@case(NEEDS)
def group_snapshot_rolled_back(t):
    g, images = group(t)
    g.create_snap('s')
    for image in images:
        image.write(b'new', 0)
    g.rollback_to_snap('s')
    for image in images:
        t.eq(image.read(0, 3), b'old')


@case(NEEDS)
def group_snapshot_renamed_and_removed(t):
    g, images = group(t)
    g.create_snap('s')
    g.create_snap('u')
    t.raises(rbd.ObjectExists, g.create_snap, 's')
    g.rename_snap('s', 'r')
    t.raises(rbd.Error, g.rename_snap, 'r', 'u')
    t.eq(sorted(s['name'] for s in g.list_snaps()), ['r', 'u'])
    g.remove_snap('r')
    g.remove_snap('u')
    t.eq([s for s in g.list_snaps()], [])
    t.eq([s for s in images[0].list_snaps()], [])


@case(NEEDS)
def group_snapshot_missing(t):
    g, _ = group(t, 1)
    t.raises(rbd.ObjectNotFound, g.remove_snap, 'nope')
    t.raises(rbd.ObjectNotFound, g.rollback_to_snap, 'nope')
    t.raises(rbd.ObjectNotFound, g.rename_snap, 'nope', 'x')


@case(NEEDS)
def group_of_none_snapshot(t):
    t.rbd.group_create(t.io, t.name)
    g = rbd.Group(t.io, t.name)
    g.create_snap('s')
    t.eq([s['name'] for s in g.list_snaps()], ['s'])


@case(NEEDS)
def group_removed_with_snapshots(t):
    g, images = group(t)
    g.create_snap('s')
    t.rbd.group_remove(t.io, t.name)
    t.eq([s for s in images[0].list_snaps()], [])


@case(NEEDS)
def group_snapshot_by_command(t):
    group(t)
    spec = f'{t.pool}/{t.name}'
    t.cli('group', 'snap', 'create', spec + '@s', raw=True)
    t.eq(t.json('group', 'snap', 'ls', spec, raw=True), [{'snapshot': 's', 'state': 'ok'}])
    t.cli('group', 'snap', 'rename', spec + '@s', 'r', raw=True)
    t.cli('group', 'snap', 'rollback', '--no-progress', spec + '@r', raw=True)
    t.cli('group', 'snap', 'rm', spec + '@r', raw=True)
    t.eq(t.json('group', 'snap', 'ls', spec, raw=True), [])


@case(NEEDS)
def group_snapshots_in_snap_ls(t):
    g, _ = group(t, 1)
    g.create_snap('s')
    t.eq(t.json('snap', 'ls', t.name + '_0'), [])
    rows = t.json('snap', 'ls', '--all', t.name + '_0')
    t.eq([r['namespace']['type'] for r in rows], ['group'])
