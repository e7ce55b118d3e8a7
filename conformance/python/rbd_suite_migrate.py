"""Migrating images as tasks of the manager: what a stock client has prepared is carried out there,
beside clients that use the image, and every byte of it and of its snapshots is the same after."""
import hashlib
import json
import random

import rados
import rbd

from rbd_frame import KIB, MIB, case

SIZE = 20 * MIB + 12345 * 512


def tasks(t):
    return json.loads(t.mgr('rbd task list'))


def past(t, task):
    return [e for e in json.loads(t.mgr('progress json'))['completed'] if e['id'] == task['id']]


def task(t, verb, spec):
    """Has a task done and returns it."""
    new = json.loads(t.mgr(f'rbd task add migration {verb}', image_spec=spec))
    def ended():
        mine = [x for x in tasks(t) if x['id'] == new['id']]
        for x in mine:
            t.ok('retry_message' not in x, x)
        return not mine
    t.until(ended, f'migration {verb} is done', 100)
    for event in past(t, new):
        t.ok('failed' not in event, event)
    return new


def scribble(image, seed, times=12, size=None):
    """Changes an image here and there."""
    dice = random.Random(seed)
    size = size or image.size()
    for _ in range(times):
        length = dice.choice([512, 4 * KIB, 70 * KIB, 1 * MIB, 5 * MIB])
        at = dice.randrange(0, size - length) // 512 * 512
        if dice.random() < 0.3:
            image.discard(at, length)
        else:
            image.write(dice.randbytes(length), at)


def sums(image):
    """The size and checksum of the image and of each of its snapshots.

    librbd 16.2 is at fault when an image that migrates is read at a snapshot and its header is read
    again, which a change of it, or of a global option rbd_*, brings about: it shows what the
    source has now, until the snapshot is set again. Nothing beside the cases may make it so.
    """
    out = {}
    for name in [None] + [s['name'] for s in image.list_snaps()]:
        image.set_snap(name)
        h, size = hashlib.sha256(), image.size()
        for at in range(0, size, 4 * MIB):
            h.update(image.read(at, min(4 * MIB, size - at)))
        out[name] = (size, h.hexdigest())
    image.set_snap(None)
    return out


def history(t, image, seed=1):
    """Gives an image snapshots between which everything changed that can change."""
    scribble(image, seed)
    image.create_snap('one')
    image.create_snap('same')
    scribble(image, seed + 1)
    image.resize(9 * MIB)
    image.create_snap('small')
    image.protect_snap('small')
    image.resize(SIZE)
    scribble(image, seed + 2, 6)
    image.create_snap('last')
    if image.size() > 16 * MIB:
        image.discard(4 * MIB, 8 * MIB)
    scribble(image, seed + 3, 3)


def check_map(t, name, io):
    """The object maps say what there is."""
    with rbd.Image(io, name) as image:
        if not image.features() & rbd.RBD_FEATURE_OBJECT_MAP:
            return
        for snap in [None] + [s['name'] for s in image.list_snaps()]:
            spec = f'{io.get_pool_name()}/{name}' + (f'@{snap}' if snap else '')
            t.cli('object-map', 'check', spec, raw=True)
            image.set_snap(snap)
            t.eq(image.flags(), 0, f'{spec}: flags')


def nothing_left(t, io, number):
    """The image of the number is gone, but for what the OSDs still trim of its snapshots, and
    the case's image is not in the trash."""
    for key in [o.key for o in io.list_objects() if number in o.key]:
        t.raises(rados.ObjectNotFound, io.stat, key)
    t.eq([e for e in t.json('trash', 'ls', '--all') if e['name'] == t.name], [])


SMALL = {'order': 20, 'stripe_unit': MIB, 'stripe_count': 1}
LAYOUTS = {
    'same': {}, 'elsewhere': {'pool': 'rbdsuite2'}, 'small_objects': SMALL,
    'large_objects': {'order': 24, 'stripe_unit': 16 * MIB, 'stripe_count': 1},
    'data_pool': {'data_pool': b'rbdsuite2'},
    'stripes': {'stripe_unit': 64 * KIB, 'stripe_count': 3}, 'plain_features': {'features': 1},
    'no_fast_diff': {'features': 1 | 4 | 8},
}


def prepare(t, pool=None, name=None, **options):
    """Prepares a migration of the case's image and returns where to."""
    io = t.ioctx(pool) if pool else t.io
    name = name or t.name + '_to'
    t.rbd.migration_prepare(t.io, t.name, io, name, **options)
    return io, name, f'{io.get_pool_name()}/{name}'


@case(rows=[(name, o) for name, o in LAYOUTS.items()])
def to_a_layout(t, options):
    image = t.image(size=SIZE)
    number = image.id()
    history(t, image)
    want = sums(image)
    image.close()
    io, name, spec = prepare(t, **options)
    with rbd.Image(io, name) as image:
        t.eq(sums(image), want, 'before')
    done = task(t, 'execute', spec)
    if io is t.io:  # the stock manager names the wrong pool
        t.eq(done['message'], f'Migrating image {t.pool}/{t.name} to {spec}')
    status = t.rbd.migration_status(io, name)
    t.eq((status['state'], status['state_description']),
         (rbd.RBD_IMAGE_MIGRATION_STATE_EXECUTED, ''))
    with rbd.Image(io, name) as image:
        t.eq(done['refs'], {'action': 'migrate execute', 'pool_name': io.get_pool_name(),
                            'pool_namespace': '', 'image_name': name, 'image_id': image.id()})
        t.eq(sums(image), want, 'executed')
    done = task(t, 'commit', spec)
    t.eq((done['message'], done['refs']['action']),
         (f'Committing image migration for {spec}', 'migrate commit'))
    with rbd.Image(io, name) as image:
        t.eq(sums(image), want, 'committed')
        t.eq(image.features() & rbd.RBD_FEATURE_MIGRATING, 0)
        t.ok(image.is_protected_snap('small'))
        image.write(b'x', 0)
    check_map(t, name, io)
    nothing_left(t, t.io, number)


@case(rows=[('stripes', {'stripe_unit': 64 * KIB, 'stripe_count': 3}),
            ('small_objects', {'order': 19})])
def from_a_layout(t, options):
    image = t.image(size=SIZE, **options)
    history(t, image, 20)
    want = sums(image)
    image.close()
    io, name, spec = prepare(t, order=22, stripe_unit=4 * MIB, stripe_count=1)
    task(t, 'execute', spec)
    task(t, 'commit', spec)
    with rbd.Image(io, name) as image:
        t.eq(sums(image), want)
    check_map(t, name, io)


@case(rows=[('locked', {}), ('unlocked', {'features': 1}), ('small_objects', SMALL),
            ('large_objects', {'order': 23, 'stripe_unit': 8 * MIB, 'stripe_count': 1})])
def with_changes_before(t, options):
    """What clients do between preparing and executing is kept: writes, discards, snapshots."""
    image = t.image(size=SIZE)
    history(t, image, 30)
    want = sums(image)
    image.close()
    io, name, spec = prepare(t, **options)
    with rbd.Image(io, name) as image:
        scribble(image, 40, 4)
        image.create_snap('late')
        want['late'] = sums(image)['late']
        scribble(image, 41, 4)
        image.create_snap('later')
        scribble(image, 42, 3)
        now = sums(image)
        t.eq({s: now[s] for s in want if s}, {s: want[s] for s in want if s}, 'before')
    t.command('rbd', 'bench', '--io-type', 'write', '--io-size', '8K', '--io-total', '400K',
              '--io-pattern', 'rand', '--io-threads', '4', spec)
    with rbd.Image(io, name) as image:
        now = sums(image)
    task(t, 'execute', spec)
    with rbd.Image(io, name) as image:
        t.eq(sums(image), now, 'executed')
        scribble(image, 43, 3)
        now = sums(image)
    task(t, 'commit', spec)
    with rbd.Image(io, name) as image:
        t.eq(sums(image), now, 'committed')
    check_map(t, name, io)


@case()
def under_writes(t):
    """A client that writes all the time is not kept waiting until the end and loses nothing."""
    image = t.image(size=400 * MIB)
    for n in range(100):
        image.write(b'abc', n * 4 * MIB)
    image.create_snap('s')
    image.close()
    io, name, spec = prepare(t)
    image = t.open(name, io=io)
    new = json.loads(t.mgr('rbd task add migration execute', image_spec=spec))
    writes = 0
    while new['id'] in [x['id'] for x in tasks(t)]:
        image.write(b'z', 4 * MIB * (writes * 37 % 100) + 1)
        writes += 1
    t.ok(writes > 0, 'no write came through')
    image.close()
    t.eq([e.get('failed') for e in past(t, new)], [None])
    task(t, 'commit', spec)
    image = t.open(name, io=io)
    for n in range(100):
        hit = any(4 * MIB * (w * 37 % 100) == n * 4 * MIB for w in range(min(writes, 100)))
        t.eq(image.read(n * 4 * MIB, 3), b'azc' if hit else b'abc', f'object {n}')
    image.set_snap('s')
    for n in range(100):
        t.eq(image.read(n * 4 * MIB, 3), b'abc', f'object {n} at the snapshot')


def family(t):
    """An image with a parent."""
    parent = t.image(t.name + '_p', size=SIZE)
    scribble(parent, 50)
    parent.create_snap('s')
    parent.protect_snap('s')
    parent.close()
    t.rbd.clone(t.io, t.name + '_p', 's', t.io, t.name)
    image = t.open()
    scribble(image, 51, 3)
    image.create_snap('one')
    image.discard(4 * MIB, 4 * MIB)
    scribble(image, 52, 3)
    image.create_snap('two')
    scribble(image, 53, 2)
    want = sums(image)
    image.close()
    return want


@case(rows=[('clone', ''), ('small_objects', '--order 20 --stripe-unit 1M --stripe-count 1'),
            ('large_objects', '--order 24 --stripe-unit 16M --stripe-count 1'),
            ('flattened', '--flatten'), ('flattened_stripes',
             '--flatten --stripe-unit 65536 --stripe-count 4')])
def clone(t, options):
    """A clone goes on to be one, unless it is flattened on the way."""
    want = family(t)
    spec = f'{t.pool}/{t.name}_to'
    t.cli('migration', 'prepare', *options.split(), f'{t.pool}/{t.name}', spec, raw=True)
    task(t, 'execute', spec)
    task(t, 'commit', spec)
    image = t.open(t.name + '_to')
    t.eq(sums(image), want)
    if 'flatten' in options:
        t.raises(rbd.ImageNotFound, image.parent_info)
    else:
        t.eq(image.parent_info()[1], t.name + '_p')
    image.close()
    check_map(t, t.name + '_to', t.io)
    t.eq([c['image'] for c in children(t, t.name + '_p', 's')], [t.name + '_to'])


def children(t, name, snap):
    with rbd.Image(t.io, name, snapshot=snap) as image:
        return list(image.list_children2())


def clone_of(t, kind, ending):
    t.cli('clone', '--rbd-default-clone-format', kind, f'{t.name}@small',
          f'{t.pool}/{t.name}{ending}')


@case(rows=[('old', 1), ('new', 2)])
def parent(t, kind):
    """The clones of a migrated image become those of the destination."""
    image = t.image(size=SIZE)
    history(t, image, 60)
    image.close()
    clone_of(t, kind, '_c')
    want = sums(t.open(t.name + '_c'))
    t.stack.close()
    t.io = t.ioctx()
    io, name, spec = prepare(t)
    task(t, 'execute', spec)
    task(t, 'commit', spec)
    image = t.open(t.name + '_c')
    t.eq(sums(image), want)
    t.eq(image.parent_info()[1], name)
    t.eq([c['image'] for c in children(t, name, 'small')], [t.name + '_c'])


@case(rows=[(f'{state}_{kind}', state, kind) for state in ('prepared', 'executed')
            for kind in ('same', 'layout', 'clone', 'parent')])
def aborted(t, state, kind):
    """Aborting brings the image back as it is by then, with its own snapshots only."""
    if kind == 'clone':
        want = family(t)
    else:
        image = t.image(size=SIZE)
        history(t, image, 70)
        want = sums(image)
        image.close()
    if kind == 'parent':
        for n in 1, 2:
            clone_of(t, n, f'_c{n}')
    t.stack.close()
    t.io = t.ioctx()
    io, name, spec = prepare(t, **({'pool': 'rbdsuite2', **SMALL} if kind == 'layout' else {}))
    if state == 'executed':
        task(t, 'execute', spec)
    with rbd.Image(io, name) as image:
        number = image.id()
        scribble(image, 80, 5)
        image.create_snap('late')
        if state == 'executed' and kind != 'clone':  # there the stock client loses it
            image.discard(8 * MIB, 4 * MIB)
        scribble(image, 81, 3)
        now = sums(image)
    want[None] = now[None]
    done = task(t, 'abort', spec)
    t.eq((done['message'], done['refs']['action'], done['refs']['image_id']),
         (f'Aborting image migration for {spec}', 'migrate abort', number))
    image = t.open()
    t.eq(sums(image), want)
    t.eq(image.features() & rbd.RBD_FEATURE_MIGRATING, 0)
    image.write(b'y', 0)
    image.close()
    check_map(t, t.name, t.io)
    t.ok(name not in t.rbd.list(io))
    nothing_left(t, io, number)
    if kind == 'parent':
        t.eq(sorted(c['image'] for c in children(t, t.name, 'small')),
             [t.name + '_c1', t.name + '_c2'])
        for n in 1, 2:
            with rbd.Image(t.io, f'{t.name}_c{n}') as image:
                t.eq(image.parent_info()[1], t.name)
                t.eq(sums(image)[None], want['small'])


@case()
def by_the_name_of_the_source(t):
    t.image(size=SIZE).close()
    io, name, _ = prepare(t)
    spec = f'{t.pool}/{t.name}'
    done = task(t, 'execute', spec)
    t.eq((done['message'], done['refs']['image_name']),
         (f'Migrating image {spec} to {spec}_to', t.name))
    task(t, 'commit', spec)
    t.ok(name in t.rbd.list(io) and t.name not in t.rbd.list(io))


@case()
def in_a_namespace(t):
    t.own_namespace()
    image = t.image(size=SIZE)
    history(t, image, 90)
    want = sums(image)
    image.close()
    to = t.ioctx()
    t.rbd.migration_prepare(t.io, t.name, to, t.name)
    done = task(t, 'execute', f'{t.pool}/{t.name}')
    t.eq(done['message'],
         f'Migrating image {t.pool}/{t.namespace}/{t.name} to {t.pool}/{t.name}')
    task(t, 'commit', f'{t.pool}/{t.name}')
    with rbd.Image(to, t.name) as image:
        t.eq(sums(image), want)
    t.rbd.migration_prepare(to, t.name, t.io, t.name)
    task(t, 'abort', f'{t.pool}/{t.namespace}/{t.name}')
    with rbd.Image(to, t.name) as image:
        t.eq(sums(image), want)
    t.eq(t.rbd.list(t.io), [])


@case()
def refused(t):
    """What is not ready for a step is told so."""
    t.image(size=SIZE).close()
    io, name, spec = prepare(t)
    def no(verb, says):
        t.has(t.mgr(f'rbd task add migration {verb}', code=22, image_spec=spec), says)
    no('commit', f'Image {spec} has not completed migration')
    first = task(t, 'execute', spec)
    again = json.loads(t.mgr('rbd task add migration execute', image_spec=spec))
    t.eq(again['id'], first['id'])  # done already
    task(t, 'commit', spec)
    no('abort', f'Image {spec} is not migrating')
    for verb in 'execute', 'commit', 'abort':
        t.has(t.mgr(f'rbd task add migration {verb}', code=22, image_spec=f'{t.pool}/nope'),
              f'Image {t.pool}/nope is not migrating')


@case()
def abort_of_what_is_open(t):
    """It waits until nobody has the image open."""
    t.image(size=SIZE).close()
    io, name, spec = prepare(t)
    image = t.open(name, io=io)
    new = json.loads(t.mgr('rbd task add migration abort', image_spec=spec))
    def refused_once():
        return [x for x in tasks(t) if x['id'] == new['id'] and x.get('retry_attempts')]
    row = t.until(refused_once, 'it is tried', 20)[0]
    t.ok('retry_message' in row, row)
    image.write(b'x', 0)
    image.close()
    t.until(lambda: new['id'] not in [x['id'] for x in tasks(t)], 'it is done', 60)
    t.eq(t.open().read(0, 1), b'x')

