"""Differences between snapshots, and taking them from image to image."""
import rbd

from rbd_frame import MIB, case, pattern

OBJ = 4 * MIB
NEEDS = ('snapshots',)
FEATURES = [('fast_diff', 61), ('plain', 1)]


def image(t, features=61):
    """Objects 0..9: 0, 1 and 2 are in a; 1 changes and 3 comes before b; 2 goes and 4 comes
    after it."""
    i = t.image(size=10 * OBJ, features=features)
    for n in range(3):
        i.write(b'a' * 8192, n * OBJ)
    i.create_snap('a')
    i.write(b'b' * 4096, OBJ)
    i.write(b'b' * 4096, 3 * OBJ)
    i.create_snap('b')
    i.discard(2 * OBJ, OBJ)
    i.write(b'c' * 4096, 4 * OBJ)
    i.flush()
    return i


def diff(i, since, whole, snap=None):
    runs = []
    i.set_snap(snap)
    i.diff_iterate(0, i.size(), since, lambda o, n, e: runs.append((o // OBJ, e)), True, whole)
    i.set_snap(None)
    return runs


@case(NEEDS, rows=[(f'{n}_{"whole" if w else "exact"}', f, w) for n, f in FEATURES
                   for w in (True, False)])
def between_snapshots(t, features, whole):
    i = image(t, features)
    t.eq(diff(i, None, whole, 'a'), [(0, True), (1, True), (2, True)])
    t.eq(diff(i, 'a', whole, 'b'), [(1, True), (3, True)])
    t.eq(diff(i, 'b', whole), [(2, False), (4, True)])
    t.eq(diff(i, 'a', whole), [(1, True), (2, False), (3, True), (4, True)])
    t.eq(diff(i, None, whole), [(0, True), (1, True), (3, True), (4, True)])


@case(NEEDS)
def backwards(t):
    i = image(t)
    i.set_snap('a')
    t.errno(22, i.diff_iterate, 0, i.size(), 'b', lambda o, n, e: None)


@case(NEEDS)
def exact_extents(t):
    i = t.image(features=1)
    i.write(b'x' * 65536, 0)
    i.create_snap('s')
    i.write(b'y' * 4096, 8192)
    i.flush()
    runs = []
    i.diff_iterate(0, i.size(), 's', lambda o, n, e: runs.append((o, n, e)))
    t.eq(runs, [(8192, 4096, True)])


@case(NEEDS)
def by_command(t):
    image(t).close()
    rows = t.json('diff', '--from-snap', 'a', '--whole-object', t.name)
    t.eq([(r['offset'] // OBJ, r['exists']) for r in rows],
         [(1, 'true'), (2, 'false'), (3, 'true'), (4, 'true')])
    rows = t.json('diff', '--from-snap', 'a', '--whole-object', t.name + '@b')
    t.eq([r['offset'] // OBJ for r in rows], [1, 3])


@case(NEEDS)
def after_resize(t):
    i = image(t)
    i.resize(2 * OBJ)
    i.create_snap('c')
    i.resize(10 * OBJ)
    i.write(b'd', 9 * OBJ)
    got = diff(i, 'a', True)
    t.ok((9, True) in got and (1, True) in got, got)
    t.ok((3, True) not in got, got)


@case(NEEDS)
def export_and_import(t):
    """Differences from snapshot to snapshot make the same image elsewhere."""
    i = image(t)
    head = i.read(0, 10 * OBJ)
    i.close()
    full, to_b, to_head = t.tmp(), t.tmp(), t.tmp()
    t.cli('export-diff', '--no-progress', t.name + '@a', full)
    t.cli('export-diff', '--no-progress', '--from-snap', 'a', t.name + '@b', to_b)
    t.cli('export-diff', '--no-progress', '--from-snap', 'b', t.name, to_head)
    t.create(t.name + '_to', size=0)
    for path in (full, to_b, to_head):
        t.cli('import-diff', '--no-progress', path, t.name + '_to')
    to = t.open(t.name + '_to')
    t.eq([s['name'] for s in to.list_snaps()], ['a', 'b'])
    t.ok(to.read(0, 10 * OBJ) == head)
    for s in ('a', 'b'):
        to.set_snap(s)
        t.ok(to.read(0, 10 * OBJ) == t.open(snapshot=s).read(0, 10 * OBJ), s)


@case(NEEDS)
def import_without_its_start(t):
    image(t).close()
    path = t.tmp()
    t.cli('export-diff', '--no-progress', '--from-snap', 'a', t.name + '@b', path)
    t.create(t.name + '_to', size=10 * OBJ)
    t.cli('import-diff', '--no-progress', path, t.name + '_to', code=22,
          says="start snapshot 'a' does not exist")


@case(NEEDS)
def import_twice(t):
    image(t).close()
    path = t.tmp()
    t.cli('export-diff', '--no-progress', t.name + '@a', path)
    t.create(t.name + '_to', size=0)
    t.cli('import-diff', '--no-progress', path, t.name + '_to')
    t.cli('import-diff', '--no-progress', path, t.name + '_to', code=17,
          says="end snapshot 'a' already exists")


@case(NEEDS)
def merge(t):
    i = image(t)
    head = i.read(0, 10 * OBJ)
    i.close()
    first, second, merged = t.tmp(), t.tmp(), t.tmp()
    t.cli('export-diff', '--no-progress', t.name + '@b', first)
    t.cli('export-diff', '--no-progress', '--from-snap', 'b', t.name, second)
    t.cli('merge-diff', '--no-progress', first, second, merged, raw=True)
    t.create(t.name + '_to', size=0)
    t.cli('import-diff', '--no-progress', merged, t.name + '_to')
    t.ok(t.open(t.name + '_to').read(0, 10 * OBJ) == head)


@case(NEEDS)
def merge_of_a_gap(t):
    image(t).close()
    first, second = t.tmp(), t.tmp()
    t.cli('export-diff', '--no-progress', t.name + '@a', first)
    t.cli('export-diff', '--no-progress', '--from-snap', 'b', t.name, second)
    t.cli('merge-diff', '--no-progress', first, second, t.tmp(), raw=True, code=22)


@case(NEEDS)
def export_format_2_with_snapshots(t):
    i = image(t)
    i.protect_snap('a')
    head = i.read(0, 10 * OBJ)
    i.close()
    out = t.tmp()
    t.cli('export', '--no-progress', '--export-format', '2', t.name, out)
    t.cli('import', '--no-progress', '--export-format', '2', out, t.name + '_to')
    to = t.open(t.name + '_to')
    t.eq([(s['name'], to.is_protected_snap(s['name'])) for s in to.list_snaps()],
         [('a', True), ('b', False)])
    t.ok(to.read(0, 10 * OBJ) == head)
    to.set_snap('a')
    t.ok(to.read(0, 10 * OBJ) == t.open(snapshot='a').read(0, 10 * OBJ))


@case(NEEDS)
def export_of_a_snapshot(t):
    image(t).close()
    out = t.tmp()
    t.cli('export', '--no-progress', t.name + '@a', out)
    with open(out, 'rb') as f:
        t.ok(f.read() == t.open(snapshot='a').read(0, 10 * OBJ))


@case(NEEDS)
def copy_of_a_snapshot(t):
    image(t).close()
    t.cli('cp', '--no-progress', t.name + '@a', f'{t.pool}/{t.name}_to')
    to = t.open(t.name + '_to')
    t.eq([s for s in to.list_snaps()], [])
    t.ok(to.read(0, 10 * OBJ) == t.open(snapshot='a').read(0, 10 * OBJ))


@case(NEEDS)
def deep_copy_with_snapshots(t):
    i = image(t)
    i.deep_copy(t.io, t.name + '_to')
    to = t.open(t.name + '_to')
    t.eq([s['name'] for s in to.list_snaps()], ['a', 'b'])
    for s in ('a', 'b', None):
        i.set_snap(s)
        to.set_snap(s)
        t.ok(to.read(0, 10 * OBJ) == i.read(0, 10 * OBJ), s)


@case(NEEDS)
def deep_copy_to_another_order(t):
    i = image(t)
    i.deep_copy(t.io, t.name + '_to', order=20, stripe_unit=MIB, stripe_count=1)
    to = t.open(t.name + '_to')
    for s in ('a', 'b', None):
        i.set_snap(s)
        to.set_snap(s)
        t.ok(to.read(0, 10 * OBJ) == i.read(0, 10 * OBJ), s)


@case(NEEDS)
def migration_with_snapshots(t):
    i = image(t)
    want = {}
    for s in ('a', 'b', None):
        i.set_snap(s)
        want[s] = i.read(0, 10 * OBJ)
    i.close()
    t.rbd.migration_prepare(t.io, t.name, t.ioctx('rbdsuite2'), t.name)
    io = t.ioctx('rbdsuite2')
    to = t.open(io=io)
    for s in ('a', 'b', None):
        to.set_snap(s)
        t.ok(to.read(0, 10 * OBJ) == want[s], f'prepared {s}')
    to.close()
    t.rbd.migration_execute(io, t.name)
    t.rbd.migration_commit(io, t.name)
    to = t.open(io=io)
    for s in ('a', 'b', None):
        to.set_snap(s)
        t.ok(to.read(0, 10 * OBJ) == want[s], f'committed {s}')


@case(NEEDS)
def usage_of_snapshots(t):
    image(t).close()
    rows = t.json('du', t.name)['images']
    t.eq([(r.get('snapshot'), r['used_size'] // OBJ) for r in rows],
         [('a', 3), ('b', 2), (None, 1)])
    t.has(t.cli('du', t.name), '<TOTAL>')


@case(NEEDS)
def usage_of_one_snapshot(t):
    image(t).close()
    t.eq(t.json('du', t.name + '@a')['images'][0]['used_size'], 3 * OBJ)


@case(NEEDS)
def pool_stats_count_snapshots(t):
    t.own_namespace()
    image(t).close()
    t.eq(t.rbd.pool_stats_get(t.io)['image_snap_count'], 2)


@case(NEEDS)
def rebuilt_maps_of_snapshots(t):
    i = image(t)
    want = [diff(i, None, True, 'a'), diff(i, 'a', True, 'b'), diff(i, 'b', True)]
    i.close()
    for spec in (t.name, t.name + '@a', t.name + '@b'):
        t.cli('object-map', 'rebuild', '--no-progress', spec)
        t.cli('object-map', 'check', '--no-progress', spec)
    i = t.open()
    t.eq(i.flags(), 0)
    t.eq(diff(i, None, True, 'a'), want[0])


@case(NEEDS)
def big_and_sparse(t):
    i = t.image(size=1 << 40)
    i.write(b'x', 1 << 39)
    i.create_snap('s')
    i.write(b'y', 1 << 38)
    i.flush()
    runs = []
    i.diff_iterate(0, 1 << 40, 's', lambda o, n, e: runs.append((o, e)), True, True)
    t.eq(runs, [(1 << 38, True)])
    t.ok(pattern(1))
    t.eq(i.flags() & rbd.RBD_FLAG_FAST_DIFF_INVALID, 0)
