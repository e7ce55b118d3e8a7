"""What the manager does for images: tasks in the background, schedules, statistics."""
import contextlib
import json
import time

import rados
import rbd

from rbd_frame import GIB, MIB, case


def tasks(t):
    return json.loads(t.mgr('rbd task list'))


def gone(t, task, seconds=50):
    t.until(lambda: task['id'] not in [x['id'] for x in tasks(t)], 'the task is done', seconds)


@case()
def task_remove(t):
    number = t.image().id()
    t.stack.pop_all().close()
    t.io = t.ioctx()
    task = json.loads(t.mgr('rbd task add remove', image_spec=f'{t.pool}/{t.name}'))
    t.eq((task['message'], task['refs']),
         (f'Removing image {t.pool}/{t.name}',
          {'action': 'remove', 'pool_name': t.pool, 'pool_namespace': '', 'image_name': t.name,
           'image_id': number}))
    gone(t, task)
    t.ok(t.name not in t.rbd.list(t.io))
    t.eq([o.key for o in t.io.list_objects() if number in o.key], [])


@case()
def task_remove_again(t):
    """Asked again for what is done, the manager answers with the task that did it."""
    t.create()
    spec = f'{t.pool}/{t.name}'
    task = json.loads(t.mgr('rbd task add remove', image_spec=spec))
    gone(t, task)
    t.eq(json.loads(t.mgr('rbd task add remove', image_spec=spec))['id'], task['id'])


@case()
def task_remove_in_a_namespace(t):
    t.own_namespace()
    t.create()
    task = json.loads(t.mgr('rbd task add remove',
                            image_spec=f'{t.pool}/{t.namespace}/{t.name}'))
    t.eq(task['refs']['pool_namespace'], t.namespace)
    gone(t, task)
    t.eq(t.rbd.list(t.io), [])


@case()
def task_trash_remove(t):
    image = t.image()
    image.write(b'x', 0)
    number = image.id()
    image.close()
    t.rbd.trash_move(t.io, t.name)
    task = json.loads(t.mgr('rbd task add trash remove', image_id_spec=f'{t.pool}/{number}'))
    t.eq(task['refs'], {'action': 'trash remove', 'pool_name': t.pool, 'pool_namespace': '',
                        'image_id': number})
    gone(t, task)
    t.raises(rbd.ImageNotFound, t.rbd.trash_get, t.io, number)


@case()
def task_shown_and_cancelled(t):
    """A removal that takes long says how far it is, has its record in the pool, and ends when it
    is taken back. (Taking back one that waits can end the stock module for good.)"""
    t.create(size=2048 * GIB, features=1)
    task = json.loads(t.mgr('rbd task add remove', image_spec=f'{t.pool}/{t.name}'))
    row = t.until(lambda: [x for x in tasks(t) if x['id'] == task['id'] and x.get('in_progress')],
                  'the task runs')[0]
    t.ok(0 <= row['progress'] < 1, row)
    one = json.loads(t.mgr('rbd task list', task_id=task['id']))
    t.eq((one['refs'], one['sequence']), (task['refs'], task['sequence']))
    def recorded():
        keys = t.command('rados', '-p', t.pool, 'listomapkeys', 'rbd_task').split()
        return f'{task["sequence"]:016X}' in keys
    t.ok(recorded(), 'there is no record')
    t.mgr('rbd task cancel', task_id=task['id'])
    t.ok(not recorded(), 'the record is left')
    gone(t, task)
    try:
        image = t.open(read_only=True)
    except rbd.ImageNotFound:
        return  # the stock library removes the rest of it
    t.until(lambda: not list(image.watchers_list()), 'nobody has it open')


@case(rows=[
    ('image', 'rbd task add remove', {'image_spec': 'rbdsuite/nope'}, 2,
     'Image rbdsuite/nope does not exist'),
    ('clone', 'rbd task add flatten', {'image_spec': 'rbdsuite/nope'}, 2,
     'Image rbdsuite/nope does not exist'),
    ('pool', 'rbd task add remove', {'image_spec': 'nopool/x'}, 2, "error opening pool 'nopool'"),
    ('spec', 'rbd task add remove', {'image_spec': 'a@b'}, 22, 'Invalid image spec: a@b'),
    ('id', 'rbd task add trash remove', {'image_id_spec': 'rbdsuite/nope'}, 2,
     'error retrieving image from trash'),
    ('list', 'rbd task list', {'task_id': 'nope'}, 2, 'No such task nope'),
    ('cancel', 'rbd task cancel', {'task_id': 'nope'}, 2, 'No such task nope'),
])
def task_refused(t, prefix, args, code, says):
    t.has(t.mgr(prefix, code=code, **args), says)


@case()
def task_remove_with_snapshots(t):
    t.image().create_snap('s')
    t.has(t.mgr('rbd task add remove', code=16, image_spec=f'{t.pool}/{t.name}'),
          f'Image {t.pool}/{t.name} has snapshots')


def clone(t, size=8 * MIB):
    p = t.image(t.name + '_p', size=size)
    for at in range(0, size, 4 * MIB):
        p.write(b'x', at)
    p.create_snap('s')
    p.protect_snap('s')
    t.rbd.clone(t.io, t.name + '_p', 's', t.io, t.name)


def past(t, task):
    """The event of a task that has ended, in what "ceph progress" knows."""
    return [e for e in json.loads(t.mgr('progress json'))['completed'] if e['id'] == task['id']]


@case()
def task_flatten(t):
    clone(t)
    image = t.open()
    task = json.loads(t.mgr('rbd task add flatten', image_spec=f'{t.pool}/{t.name}'))
    t.eq((task['message'], task['refs']),
         (f'Flattening image {t.pool}/{t.name}',
          {'action': 'flatten', 'pool_name': t.pool, 'pool_namespace': '', 'image_name': t.name,
           'image_id': image.id()}))
    gone(t, task)
    t.raises(rbd.ImageNotFound, image.parent_info)
    t.eq(image.read(4 * MIB, 1), b'x')
    event = past(t, task)[0]
    t.eq((event['message'], event['refs'], event['add_to_ceph_s:']),
         (task['message'], {'origin': 'rbd_support', **task['refs']}, False))
    t.ok(event['finished_at'] >= event['started_at'] and 'failed' not in event, event)
    t.has(t.mgr('rbd task add flatten', image_spec=f'{t.pool}/{t.name}'), task['id'])


@case()
def task_flatten_under_writes(t):
    """What another client writes meanwhile is there afterwards, and it is not kept waiting until
    the end."""
    clone(t, size=400 * MIB)
    image = t.open()
    image.write(b'y', 1)  # this client holds the lock
    task = json.loads(t.mgr('rbd task add flatten', image_spec=f'{t.pool}/{t.name}'))
    writes = 0
    while task['id'] in [x['id'] for x in tasks(t)]:
        image.write(b'z', 4 * MIB * (writes % 100) + 2)
        writes += 1
    t.ok(writes > 0, 'no write came through')
    t.raises(rbd.ImageNotFound, image.parent_info)
    for n in range(100):
        want = b'x' + (b'y' if n == 0 else b'\0') + (b'z' if n < writes else b'\0')
        t.eq(image.read(4 * MIB * n, 3), want, f'object {n} after {writes} writes')


@case()
def task_cancelled_event(t):
    t.create(size=2048 * GIB, features=1)
    task = json.loads(t.mgr('rbd task add remove', image_spec=f'{t.pool}/{t.name}'))
    t.until(lambda: [x for x in tasks(t) if x['id'] == task['id'] and x.get('in_progress')],
            'the task runs')
    t.mgr('rbd task cancel', task_id=task['id'])
    event = t.until(lambda: past(t, task), 'the event ended')[0]
    t.eq((event['failed'], event['failure_message']), (True, 'Operation canceled'))
    t.has(t.mgr('progress'), f'[Failed]: Removing image {t.pool}/{t.name} (')
    gone(t, task)


@case()
def task_flatten_without_parent(t):
    t.create()
    t.has(t.mgr('rbd task add flatten', code=2, image_spec=f'{t.pool}/{t.name}'),
          f'Image {t.pool}/{t.name} does not have a parent')


@case(rows=[(verb, verb) for verb in ('execute', 'commit', 'abort')])
def task_not_migrating(t, verb):
    t.create()
    t.has(t.mgr(f'rbd task add migration {verb}', code=22, image_spec=f'{t.pool}/{t.name}'),
          f'Image {t.pool}/{t.name} is not migrating')


PERF = ['write_ops', 'read_ops', 'write_bytes', 'read_bytes', 'write_latency', 'read_latency']


@case()
def perf_of_images(t):
    """What clients do to an image is told per second and in sum, while somebody asks."""
    t.own_namespace()
    image, spec = t.image(), f'{t.pool}/{t.namespace}'
    def ask(what):
        a = json.loads(t.mgr(f'rbd perf image {what}s', pool_spec=spec))
        t.eq(sorted(a), sorted(['timestamp', f'{what}_descriptors', 'pool_descriptors',
                                what + 's']))
        t.eq(a[f'{what}_descriptors'], PERF)
        for row in a[what + 's']:
            t.eq((a['pool_descriptors'], list(row)), ({'0': spec}, ['0/' + t.name]))
            return dict(zip(PERF, row['0/' + t.name]))
        return None
    t.eq(ask('stat'), None)
    wrote = 0
    def busy():
        nonlocal wrote
        for _ in range(4):
            image.write(bytes(64 << 10), 0)
            image.flush()
            image.read(1 << 20, 16 << 10)
            wrote += 1
        return ask('stat')
    rate = t.until(busy, 'there is a rate', 40)
    t.eq((rate['write_bytes'] / rate['write_ops'], rate['read_bytes']), (64 << 10, 0))
    t.ok(0 < rate['write_ops'] <= wrote and rate['write_latency'] > 0, rate)
    t.ok(rate['read_ops'] > 0, rate)  # of what does not exist: no bytes
    total = ask('counter')
    t.ok(0 < total['write_ops'] <= wrote, f'{total} of {wrote}')
    t.eq(total['write_bytes'], total['write_ops'] * (64 << 10))
    t.until(lambda: ask('stat') is None, 'an idle image is not shown', 40)


@case(rows=[
    ('pool', {'pool_spec': 'nope'}, 2, "Pool 'nope' not found"),
    ('spec', {'pool_spec': 'a/b/c'}, 22, 'Invalid pool spec: a/b/c'),
])
def perf_refused(t, args, code, says):
    for what in 'stats', 'counters':
        t.has(t.mgr(f'rbd perf image {what}', code=code, **args), says)


@case()
def mirror_snapshot_schedule(t):
    def run(verb, *words, **o):
        return t.cli('mirror', 'snapshot', 'schedule', verb, *words, '-p', 'rbdsuite2', raw=True,
                     **o)
    run('add', '1d')
    t.eq(run('ls'), 'every 1d\n')
    run('rm', '1d')


@contextlib.contextmanager
def mirrored_pool(t, name='rbdsuitemirror'):
    """A pool whose images are mirrored, with a peer that is not there."""
    t.command('ceph', 'osd', 'pool', 'create', name, '8')
    try:
        with t.cluster.open_ioctx(name) as io:
            t.rbd.pool_init(io, True)
            t.rbd.mirror_mode_set(io, rbd.RBD_MIRROR_MODE_IMAGE)
            t.rbd.mirror_peer_add(io, 'there', 'client.mirror')
            yield name, io
    finally:
        t.command('ceph', 'osd', 'pool', 'rm', name, name, '--yes-i-really-really-mean-it')


@case()
def mirror_snapshots_happen(t):
    """Images that are mirrored by snapshots get them at their time; not so one that is demoted."""
    with mirrored_pool(t) as (pool, io):
        numbers = {}
        for name in 'i', 'demoted', 'plain':
            t.rbd.create(io, name, 8 * MIB, old_format=False, features=61)
            with rbd.Image(io, name) as image:
                numbers[name] = image.id()
                if name != 'plain':
                    image.mirror_image_enable(rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT)
                if name == 'demoted':
                    image.mirror_image_demote()
                    demoted = len(list(image.list_snaps()))
        with rbd.Image(io, 'i') as image:
            image.write(b'old', 0)
            image.create_snap('mine')
            for _ in range(5):  # with that of enabling more than a peer may be behind
                image.mirror_image_create_snapshot()
            before = [s['id'] for s in image.list_snaps()]
            t.eq(len(before), 6)
            def run(verb, **o):
                return json.loads(t.mgr('rbd mirror snapshot schedule ' + verb, **o) or 'null')
            run('add', level_spec=pool + '/', interval='1h')
            run('add', level_spec=pool + '//i', interval='1m')
            key = f'{io.get_pool_id()}//{numbers["i"]}'
            t.eq(run('list', level_spec=pool + '/i'),
                 {key: {'name': pool + '/i', 'schedule': [{'interval': '1m',
                                                           'start_time': None}]}})
            with rados.ReadOpCtx() as op:
                rows, _ = io.get_omap_vals_by_keys(op, (key,))
                io.operate_read_op(op, 'rbd_mirror_snapshot_schedule')
                t.eq([json.loads(v) for _, v in rows], [[{'interval': '1m', 'start_time': None}]])
            status = lambda: run('status', level_spec=pool + '/')['scheduled_images']
            row = t.until(status, 'it is due', 90)
            t.eq([(r['image'], list(r)) for r in row], [(pool + '/i', ['image', 'schedule_time'])])
            def made():
                return [s for s in image.list_snaps() if s['id'] > max(before)]
            snap = t.until(made, 'there is a snapshot', 150)[0]
            t.ok(snap['name'].startswith('.mirror.primary.'), snap)
            t.eq({k: snap['mirror'][k] for k in ('state', 'complete', 'primary_mirror_uuid')},
                 {'state': rbd.RBD_SNAP_MIRROR_STATE_PRIMARY, 'complete': True,
                  'primary_mirror_uuid': ''})
            t.eq(len(snap['mirror']['mirror_peer_uuids']), 1)
            image.write(b'new', 0)
            image.set_snap_by_id(snap['id'])
            t.eq(image.read(0, 3), b'old')
            t.until(lambda: len(list(image.list_snaps())) == 6, 'the surplus is gone', 10)
            names = [s['name'] for s in image.list_snaps()]
            t.ok('mine' in names and snap['name'] in names, names)
            want = [f'rbd_mirror_snapshot.{numbers["i"]}.{s["id"]}.0' for s in image.list_snaps()
                    if s['name'] != 'mine']
            kept = [o.key for o in io.list_objects()
                    if o.key.startswith(f'rbd_mirror_snapshot.{numbers["i"]}.')]
            t.eq(sorted(kept), sorted(want))
        run('remove', level_spec=pool + '/i')
        run('remove', level_spec=pool + '/')
        t.eq(run('list', level_spec=pool + '/'), {})
        with rbd.Image(io, 'demoted') as image:
            t.eq(len(list(image.list_snaps())), demoted)


@case(rows=[(level + ':' + interval, level, interval, says) for level, interval, says in (
    ('nope/', '1m', 'Invalid level spec nope/: pool nope does not exist'),
    ('rbdsuite/nope', '1m', 'Invalid level spec rbdsuite/nope: image nope does not exist'),
    ('rbdsuite/nope/', '1m', 'namespace nope does not exist'),
    ('/', '1m', 'Invalid level spec /: failed to parse /'),
    ('rbdsuite/', '1x', 'Invalid interval (1x)'))])
def mirror_snapshot_refused(t, level, interval, says):
    t.has(t.mgr('rbd mirror snapshot schedule add', code=22, level_spec=level, interval=interval),
          says)


@case()
def mirror_snapshot_of_what_is_not_mirrored(t):
    t.create()
    t.has(t.mgr('rbd mirror snapshot schedule add', code=22, level_spec=f'{t.pool}/{t.name}',
                interval='1m'), f'image {t.name} is not in snapshot mirror mode')
    t.own_namespace()
    t.has(t.mgr('rbd mirror snapshot schedule add', code=22, interval='1m',
                level_spec=f'{t.pool}/{t.namespace}/'), 'is not in mirror image mode')


@case()
def trash_purge_schedule(t):
    t.own_namespace()
    def run(*words):
        return t.cli('trash', 'purge', 'schedule', *words)
    level = f'{t.pool}/{t.namespace}/'
    def listed():
        return json.loads(t.mgr('rbd trash purge schedule list', level_spec=level))
    run('add', '2h')
    t.eq(run('ls'), 'every 2h\n')
    t.eq(t.json('trash', 'purge', 'schedule', 'ls'), [{'interval': '2h', 'start_time': ''}])
    run('add', '1440m', '14:00+02:00')
    key = list(listed())[0]
    t.eq(key, f'{t.io.get_pool_id()}/{t.namespace}')
    t.eq(listed()[key]['name'], level)
    rules = [{'interval': '1d', 'start_time': '14:00:00+02:00'},
             {'interval': '2h', 'start_time': None}]
    t.eq(sorted(listed()[key]['schedule'], key=str), rules)
    t.io.set_namespace('')
    with rados.ReadOpCtx() as op:
        rows, _ = t.io.get_omap_vals_by_keys(op, (key,))
        t.io.operate_read_op(op, 'rbd_trash_purge_schedule')
        t.eq([sorted(json.loads(v), key=str) for _, v in rows], [rules])
    run('rm', '2h')
    t.eq(listed()[key]['schedule'], rules[:1])
    run('rm')
    t.eq(listed(), {})


@case()
def trash_purge_happens(t):
    """At its time the trash is emptied of what need not be kept longer."""
    t.own_namespace()
    numbers = {}
    for name in 'gone', 'kept':
        with t.image(name) as image:
            image.write(b'x', 0)
            numbers[name] = image.id()
    t.rbd.trash_move(t.io, 'gone', 0)
    t.rbd.trash_move(t.io, 'kept', 3600)
    begin = time.time()
    t.cli('trash', 'purge', 'schedule', 'add', '1m')
    level = f'{t.pool}/{t.namespace}/'
    row = t.until(lambda: json.loads(t.mgr('rbd trash purge schedule status',
                                           level_spec=level))['scheduled'], 'it is due', 70)[0]
    t.eq(sorted(row), ['namespace', 'pool_id', 'pool_name', 'schedule_time'])
    t.eq((row['namespace'], row['pool_name'], row['pool_id']),
         (t.namespace, t.pool, str(t.io.get_pool_id())))
    due = time.mktime(time.strptime(row['schedule_time'], '%Y-%m-%d %H:%M:%S'))
    t.ok(begin - 60 <= due <= time.time() + 60, row)
    t.until(lambda: [e['name'] for e in t.rbd.trash_list(t.io)] == ['kept'], 'it is gone', 130)
    t.ok(time.time() >= due - 1, 'it went before its time')
    t.eq([o.key for o in t.io.list_objects() if numbers['gone'] in o.key], [])
    t.cli('trash', 'purge', 'schedule', 'rm')
    t.rbd.trash_remove(t.io, numbers['kept'], True)


@case(rows=[(f'{level}:{interval}:{start}', level, interval, start, says)
            for level, interval, start, says in (
    ('nope/', '1m', None, 'Invalid level spec nope/: pool nope does not exist'),
    ('rbdsuite/i', '1m', None, 'invalid name rbdsuite/i: image level is not allowed'),
    ('rbdsuite/nope/', '1m', None, 'namespace nope does not exist'),
    ('/', '1m', None, 'Invalid level spec /: failed to parse /'),
    ('rbdsuite/', '1x', None, 'Invalid interval (1x)'),
    ('rbdsuite/', '1m', 'bad', 'Invalid start time bad:'))])
def trash_purge_refused(t, level, interval, start, says):
    more = {'start_time': start} if start else {}
    t.has(t.mgr('rbd trash purge schedule add', code=22, level_spec=level, interval=interval,
                **more), says)


def records(io, oid):
    """The schedules that a pool keeps, by level."""
    io.set_namespace('')
    with rados.ReadOpCtx() as op:
        rows, _ = io.get_omap_vals(op, '', '', 100)
        try:
            io.operate_read_op(op, oid)
        except rados.ObjectNotFound:
            return []
        return [key for key, _ in rows]


@case()
def schedules_of_what_is_gone(t):
    """The schedule of a namespace or an image that was removed, or is not mirrored any more, is
    removed from the pool; others stay."""
    oid = 'rbd_mirror_snapshot_schedule'
    with mirrored_pool(t, 'rbdsuitestale') as (pool, io):
        keys = {}
        for name in 'kept', 'plain', 'gone':
            t.rbd.create(io, name, 8 * MIB, old_format=False, features=61)
            with rbd.Image(io, name) as image:
                image.mirror_image_enable(rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT)
                keys[name] = f'{io.get_pool_id()}//{image.id()}'
            t.mgr('rbd mirror snapshot schedule add', level_spec=f'{pool}/{name}', interval='1h')
        t.mgr('rbd mirror snapshot schedule add', level_spec=f'{pool}/', interval='2h')
        t.rbd.namespace_create(io, 'n')
        for interval, level in ('3h', f'{pool}/n/'), ('4h', f'{pool}/'):
            t.mgr('rbd trash purge schedule add', level_spec=level, interval=interval)
        one = str(io.get_pool_id())
        t.eq(sorted(records(io, oid)), sorted([one, *keys.values()]))
        t.eq(sorted(records(io, 'rbd_trash_purge_schedule')), [one, one + '/n'])
        with rbd.Image(io, 'plain') as image:
            image.mirror_image_disable(True)
        with rbd.Image(io, 'gone') as image:
            image.mirror_image_disable(True)
        t.rbd.remove(io, 'gone')
        t.rbd.namespace_remove(io, 'n')
        t.until(lambda: sorted(records(io, oid)) == sorted([one, keys['kept']]) and
                records(io, 'rbd_trash_purge_schedule') == [one], 'they are removed', 140)
        t.eq(list(json.loads(t.mgr('rbd mirror snapshot schedule list', level_spec=pool + '/'))),
             [one, keys['kept']])
        t.mgr('rbd mirror snapshot schedule remove', level_spec=pool + '/')
        t.mgr('rbd trash purge schedule remove', level_spec=pool + '/')
