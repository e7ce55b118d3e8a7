"""Clones of both kinds: reading through, copying up, flattening, parents and children."""
import random

import rbd

from rbd_frame import KIB, MIB, case, pattern

OBJ = 4 * MIB
NEEDS = ('snapshots',)
DATA = pattern(9 * MIB, 9)  # from 1 MiB on in every parent here


def parent(t, size=12 * MIB, protect=True, **options):
    """An image with a snapshot s."""
    image = t.image(size=size, **options)
    image.write(DATA[:size - MIB], MIB)
    image.create_snap('s')
    if protect:
        image.protect_snap('s')
    return image


def clone(t, name=None, io=None, **options):
    name = name or t.name + '_c'
    t.rbd.clone(t.io, t.name, 's', io or t.io, name, **options)
    return t.open(name, io=io or t.io)


def both(fn):
    """The case for a clone of a protected snapshot and for the second kind."""
    return case(NEEDS, rows=[('v1', 1), ('v2', 2)])(fn)


def made(t, version):
    """A parent and a clone of the kind: 2 does not need a protected snapshot."""
    p = parent(t, protect=version == 1)
    t.cli('clone', '--rbd-default-clone-format', version, f'{t.name}@s', f'{t.pool}/{t.name}_c')
    return p, t.open(t.name + '_c')


@both
def read_through(t, version):
    _, c = made(t, version)
    t.eq(c.size(), 12 * MIB)
    t.ok(c.read(0, 12 * MIB) == bytes(MIB) + DATA + bytes(2 * MIB))
    t.eq(c.overlap(), 12 * MIB)


@both
def copy_up(t, version):
    p, c = made(t, version)
    c.write(b'child', 2 * MIB + 77)
    c.write(b'end', 12 * MIB - 3)
    want = bytearray(bytes(MIB) + DATA + bytes(2 * MIB))
    want[2 * MIB + 77:2 * MIB + 82] = b'child'
    want[-3:] = b'end'
    t.ok(c.read(0, 12 * MIB) == want)
    t.ok(p.read(MIB, 9 * MIB) == DATA)


@both
def written_parent_is_not_seen(t, version):
    p, c = made(t, version)
    p.write(b'x' * 100000, 3 * MIB)
    t.ok(c.read(MIB, 9 * MIB) == DATA)


@both
def discard_hides_the_parent(t, version):
    _, c = made(t, version)
    c.discard(OBJ, OBJ)
    c.write_zeroes(MIB, 1000)
    want = bytearray(bytes(MIB) + DATA + bytes(2 * MIB))
    want[OBJ:2 * OBJ] = bytes(OBJ)
    want[MIB:MIB + 1000] = bytes(1000)
    t.ok(c.read(0, 12 * MIB) == want)


@both
def flatten(t, version):
    p, c = made(t, version)
    c.write(b'child', 0)
    c.flatten()
    t.raises(rbd.ImageNotFound, c.parent_info)
    t.eq(c.overlap(), 0)
    t.ok(c.read(0, 12 * MIB) == b'child' + bytes(MIB - 5) + DATA + bytes(2 * MIB))
    if version == 1:
        p.unprotect_snap('s')
    p.remove_snap('s')
    t.ok(c.read(MIB, 9 * MIB) == DATA)


@both
def parent_and_children(t, version):
    p, c = made(t, version)
    t.eq(c.parent_info(), (t.pool, t.name, 's'))
    t.eq(c.parent_id(), p.id())
    spec = c.get_parent_image_spec()
    t.eq((spec['pool_name'], spec['image_name'], spec['snap_name']), (t.pool, t.name, 's'))
    p.set_snap('s')
    t.eq([x for x in p.list_children()], [(t.pool, t.name + '_c')])
    t.eq([(x['pool'], x['image'], x['trash'], x['id']) for x in p.list_children2()],
         [(t.pool, t.name + '_c', False, c.id())])
    t.eq([x['image'] for x in p.list_descendants()], [t.name + '_c'])
    t.has(t.cli('info', t.name + '_c'), f'parent: {t.pool}/{t.name}@s', 'overlap: 12 MiB')
    t.eq(t.cli('children', t.name + '@s'), f'{t.pool}/{t.name}_c\n')


@both
def resize_cuts_the_overlap(t, version):
    _, c = made(t, version)
    c.resize(3 * MIB)
    t.eq(c.overlap(), 3 * MIB)
    c.resize(12 * MIB)
    t.eq(c.overlap(), 3 * MIB)
    t.ok(c.read(0, 12 * MIB) == bytes(MIB) + DATA[:2 * MIB] + bytes(9 * MIB))


@both
def clone_larger_than_the_parent(t, version):
    _, c = made(t, version)
    c.resize(40 * MIB)
    c.write(b'more', 30 * MIB)
    t.eq((c.overlap(), c.read(30 * MIB, 4), c.read(11 * MIB, 4)), (12 * MIB, b'more', bytes(4)))


@both
def snapshot_of_a_clone(t, version):
    """A snapshot of a clone reads through, also after writes to the clone."""
    _, c = made(t, version)
    c.write(b'one', MIB)
    c.create_snap('cs')
    c.write(b'two', MIB)
    c.write(b'new', 5 * MIB)
    s = t.open(t.name + '_c', snapshot='cs')
    t.ok(s.read(MIB, 9 * MIB) == b'one' + DATA[3:])


@both
def flatten_keeps_snapshots(t, version):
    """With deep-flatten snapshots of the clone let go of the parent too."""
    p, c = made(t, version)
    c.create_snap('cs')
    c.write(b'two', MIB)
    c.flatten()
    s = t.open(t.name + '_c', snapshot='cs')
    t.ok(s.read(MIB, 9 * MIB) == DATA)
    t.raises(rbd.ImageNotFound, s.parent_info)
    if version == 1:
        p.unprotect_snap('s')


@both
def clone_of_a_clone(t, version):
    _, c = made(t, version)
    c.write(b'middle', 2 * MIB)
    c.create_snap('s')
    if version == 1:
        c.protect_snap('s')
    t.cli('clone', '--rbd-default-clone-format', version, f'{t.name}_c@s',
          f'{t.pool}/{t.name}_g')
    g = t.open(t.name + '_g')
    g.write(b'grandchild', 7 * MIB)
    want = bytearray(bytes(MIB) + DATA + bytes(2 * MIB))
    want[2 * MIB:2 * MIB + 6] = b'middle'
    want[7 * MIB:7 * MIB + 10] = b'grandchild'
    t.ok(g.read(0, 12 * MIB) == want)
    p = t.open(snapshot='s')
    t.eq(sorted(x['image'] for x in p.list_descendants()), [t.name + '_c', t.name + '_g'])


@both
def random_against_model(t, version):
    _, c = made(t, version)
    rng, model = random.Random(5), bytearray(bytes(MIB) + DATA + bytes(2 * MIB))
    for step in range(80):
        offset = rng.randrange(12 * MIB)
        n = min(rng.choice([1, 512, 70000, MIB]), 12 * MIB - offset)
        what = rng.randrange(3)
        if what == 0:
            model[offset:offset + n] = data = pattern(n, step)
            c.write(data, offset)
        elif what == 1:
            model[offset:offset + n] = bytes(n)
            c.write_zeroes(offset, n)
        else:
            t.ok(c.read(offset, n) == model[offset:offset + n], f'step {step} at {offset}+{n}')
    c.flatten()
    t.ok(c.read(0, 12 * MIB) == model, 'flattened')


@case(NEEDS)
def unprotected(t):
    """The first kind needs protection."""
    parent(t, protect=False)
    t.errno(22, t.rbd.clone, t.io, t.name, 's', t.io, t.name + '_c')


@case(NEEDS)
def unprotect_with_children(t):
    p, _ = made(t, 1)
    t.errno(16, p.unprotect_snap, 's')


@case(NEEDS)
def v2_parent_is_removed_to_the_trash(t):
    """A snapshot that still has clones of the second kind goes to the trash namespace, and goes
    with the last of them."""
    p, c = made(t, 2)
    p.remove_snap('s')
    rows = [s for s in p.list_snaps()]
    t.eq([s['namespace'] for s in rows], [rbd.RBD_SNAP_NAMESPACE_TYPE_TRASH])
    t.eq(rows[0]['trash']['original_name'], 's')
    t.ok(p.op_features() & rbd.RBD_OPERATION_FEATURE_CLONE_PARENT)
    t.ok(c.op_features() & rbd.RBD_OPERATION_FEATURE_CLONE_CHILD)
    t.ok(c.read(MIB, 9 * MIB) == DATA)
    c.flatten()
    t.eq([s for s in p.list_snaps()], [])


@case(NEEDS)
def v2_op_features_by_command(t):
    made(t, 2)
    t.eq(t.json('info', t.name + '_c')['op_features'], ['clone-child'])
    t.eq(t.json('info', t.name)['op_features'], ['clone-parent'])


@case(NEEDS)
def removed_child_lets_go(t):
    p, c = made(t, 1)
    c.close()
    t.rbd.remove(t.io, t.name + '_c')
    p.unprotect_snap('s')


@case(NEEDS)
def child_in_the_trash_holds_on(t):
    p, c = made(t, 1)
    c.close()
    t.rbd.trash_move(t.io, t.name + '_c')
    p.set_snap('s')
    t.eq([x['trash'] for x in p.list_children2()], [True])
    p.set_snap(None)
    t.errno(16, p.unprotect_snap, 's')


@case(NEEDS)
def snapshot_removed_with_flatten(t):
    """`snap rm --force` flattens the children first."""
    p, c = made(t, 1)
    c.close()
    p.remove_snap2('s', rbd.RBD_SNAP_REMOVE_FLATTEN | rbd.RBD_SNAP_REMOVE_UNPROTECT)
    c = t.open(t.name + '_c')
    t.raises(rbd.ImageNotFound, c.parent_info)
    t.ok(c.read(MIB, 9 * MIB) == DATA)


@case(NEEDS)
def to_another_pool(t):
    parent(t)
    c = clone(t, io=t.ioctx('rbdsuite2'))
    c.write(b'x', 0)
    t.ok(c.read(MIB, 9 * MIB) == DATA)
    t.eq(c.parent_info(), (t.pool, t.name, 's'))
    p = t.open(snapshot='s')
    t.eq([x for x in p.list_children()], [('rbdsuite2', t.name + '_c')])


@case(NEEDS)
def to_another_namespace(t):
    """Only the second kind crosses namespaces."""
    parent(t, protect=False)
    t.rbd.namespace_create(t.io, t.name)
    spec = f'{t.pool}/{t.name}'
    t.cli('clone', '--rbd-default-clone-format', 2, f'{spec}@s', f'{spec}/c', raw=True)
    t.io.set_namespace(t.name)
    c = t.open('c')
    t.ok(c.read(MIB, 9 * MIB) == DATA)


@case(NEEDS, rows=[('order', {'order': 24}), ('data_pool', {'data_pool': 'rbdsuite2'}),
                   ('striped', {'features': 3, 'stripe_unit': 64 * KIB, 'stripe_count': 3}),
                   ('plain', {'features': 1}), ('journaled', {'features': 125})])
def layout(t, options):
    """A clone need not be laid out like its parent."""
    parent(t)
    c = clone(t, **options)
    c.write(b'x' * 5000, 3 * MIB - 100)
    want = bytearray(bytes(MIB) + DATA + bytes(2 * MIB))
    want[3 * MIB - 100:3 * MIB + 4900] = b'x' * 5000
    t.ok(c.read(0, 12 * MIB) == want)
    c.flatten()
    t.ok(c.read(0, 12 * MIB) == want)


@case(NEEDS)
def striped_parent(t):
    parent(t, features=3, stripe_unit=64 * KIB, stripe_count=3)
    c = clone(t, features=1)
    c.write(b'x', 0)
    t.ok(c.read(MIB, 9 * MIB) == DATA)


@case(NEEDS)
def parent_in_a_data_pool(t):
    parent(t, data_pool='rbdsuite2')
    c = clone(t)
    c.write(b'x', 2 * MIB)
    t.eq(c.read(2 * MIB, 3), b'x' + DATA[MIB + 1:MIB + 3])


@case(NEEDS)
def missing(t):
    t.raises(rbd.ImageNotFound, t.rbd.clone, t.io, t.name, 's', t.io, t.name + '_c')
    t.create()
    t.raises(rbd.ImageNotFound, t.rbd.clone, t.io, t.name, 's', t.io, t.name + '_c')


@case(NEEDS)
def onto_another(t):
    parent(t)
    t.create(t.name + '_c')
    t.raises(rbd.ImageExists, t.rbd.clone, t.io, t.name, 's', t.io, t.name + '_c')


@case(NEEDS)
def by_command(t):
    parent(t).close()
    t.cli('clone', f'{t.name}@s', f'{t.pool}/{t.name}_c')
    t.eq(t.json('children', t.name + '@s'), [{'pool': t.pool, 'pool_namespace': '',
                                              'image': t.name + '_c'}])
    t.cli('flatten', '--no-progress', t.name + '_c')
    t.cli('flatten', '--no-progress', t.name + '_c', code=22, says='flatten error')
    t.eq(t.json('children', t.name + '@s'), [])


@case(NEEDS)
def flatten_of_no_clone(t):
    t.errno(22, t.image().flatten)


@case(NEEDS)
def flatten_with_progress(t):
    parent(t)
    c, seen = clone(t), []

    def progress(now, all):
        seen.append((now, all))
        return 0
    c.flatten(on_progress=progress)
    t.ok(seen)


@case(NEEDS)
def without_layering(t):
    parent(t)
    t.errno(38, t.rbd.clone, t.io, t.name, 's', t.io, t.name + '_c', features=0)


@case(NEEDS)
def copy_on_read(t):
    parent(t)
    t.cli('clone', f'{t.name}@s', f'{t.pool}/{t.name}_c')
    t.cli('config', 'image', 'set', t.name + '_c', 'rbd_clone_copy_on_read', 'true')
    c = t.open(t.name + '_c')
    t.ok(c.read(OBJ, OBJ) == DATA[3 * MIB:7 * MIB])
    prefix = c.block_name_prefix()
    t.until(lambda: any(o.key.startswith(prefix) for o in t.io.list_objects()), 'it is copied')


@case(NEEDS)
def object_map_of_a_clone(t):
    parent(t)
    c = clone(t)
    c.write(b'x', 5 * MIB)
    c.close()
    t.cli('object-map', 'check', '--no-progress', t.name + '_c')
    t.eq(t.json('du', t.name + '_c')['images'][0]['used_size'], OBJ)
    t.eq([d['offset'] for d in t.json('diff', '--whole-object', t.name + '_c')][:1], [0])


@case(NEEDS)
def rollback_of_a_clone(t):
    parent(t)
    c = clone(t)
    c.create_snap('cs')
    c.write(b'x' * 100000, 2 * MIB)
    c.rollback_to_snap('cs')
    t.ok(c.read(MIB, 9 * MIB) == DATA)


@case(NEEDS)
def sparsify_of_a_clone(t):
    parent(t)
    c = clone(t)
    c.write(bytes(OBJ), 0)
    c.sparsify(4096)
    t.eq(c.read(0, OBJ), bytes(OBJ))


@case(NEEDS)
def deep_copy_of_a_clone(t):
    """The copy is a clone too, with its snapshots; or flat when asked."""
    parent(t)
    c = clone(t)
    c.write(b'x', 5 * MIB)
    c.create_snap('cs')
    c.deep_copy(t.io, t.name + '_d')
    d = t.open(t.name + '_d')
    t.eq((d.parent_info(), [s['name'] for s in d.list_snaps()], d.read(5 * MIB, 1)),
         ((t.pool, t.name, 's'), ['cs'], b'x'))
    t.ok(d.read(MIB, 4 * MIB) == DATA[:4 * MIB])
    t.cli('deep', 'cp', '--no-progress', '--flatten', t.name + '_c', f'{t.pool}/{t.name}_f')
    t.raises(rbd.ImageNotFound, t.open(t.name + '_f').parent_info)


@case(NEEDS)
def migration_of_a_clone(t):
    parent(t)
    c = clone(t)
    c.write(b'x', 5 * MIB)
    c.close()
    t.rbd.migration_prepare(t.io, t.name + '_c', t.io, t.name + '_m')
    t.rbd.migration_execute(t.io, t.name + '_m')
    t.rbd.migration_commit(t.io, t.name + '_m')
    m = t.open(t.name + '_m')
    t.eq((m.parent_info(), m.read(5 * MIB, 1)), ((t.pool, t.name, 's'), b'x'))


@case(NEEDS)
def migration_of_a_parent(t):
    """Children follow a parent that moves."""
    parent(t, protect=False).close()
    t.cli('clone', '--rbd-default-clone-format', 2, f'{t.name}@s', f'{t.pool}/{t.name}_c')
    t.rbd.migration_prepare(t.io, t.name, t.io, t.name + '_m')
    t.rbd.migration_execute(t.io, t.name + '_m')
    t.rbd.migration_commit(t.io, t.name + '_m')
    c = t.open(t.name + '_c')
    t.eq(c.parent_info(), (t.pool, t.name + '_m', 's'))
    t.ok(c.read(MIB, 9 * MIB) == DATA)
