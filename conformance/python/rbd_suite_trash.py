"""The trash, and moving images from one place to another (migration)."""
import datetime

import rbd

from rbd_frame import KIB, MIB, case, pattern

STATE = {s: getattr(rbd, 'RBD_IMAGE_MIGRATION_STATE_' + s) for s in ('PREPARED', 'EXECUTED')}


@case()
def move_and_restore(t):
    t.own_namespace()
    image = t.image()
    image.write(b'kept', 5)
    number = image.id()
    image.close()
    t.rbd.trash_move(t.io, t.name)
    t.eq(t.rbd.list(t.io), [])
    t.eq([(e['id'], e['name'], e['source']) for e in t.rbd.trash_list(t.io)],
         [(number, t.name, 'USER')])
    t.rbd.trash_restore(t.io, number, t.name + '_back')
    t.eq(t.rbd.list(t.io), [t.name + '_back'])
    t.eq(t.open(t.name + '_back').read(5, 4), b'kept')
    t.eq(list(t.rbd.trash_list(t.io)), [])


@case()
def restore_under_its_name(t):
    number = t.image().id()
    t.stack.pop_all().close()
    t.io = t.ioctx()
    t.rbd.trash_move(t.io, t.name)
    t.rbd.trash_restore(t.io, number, '')
    t.eq(t.open().id(), number)


@case()
def restore_onto_another(t):
    number = moved(t)
    t.create()
    t.raises(rbd.ImageExists, t.rbd.trash_restore, t.io, number, t.name)


def moved(t, delay=0, name=None, **options):
    image = t.image(name, **options)
    number = image.id()
    image.close()
    t.rbd.trash_move(t.io, name or t.name, delay)
    return number


@case(rows=[('move', lambda t: t.rbd.trash_move(t.io, t.name)),
            ('restore', lambda t: t.rbd.trash_restore(t.io, '123456789abc', t.name)),
            ('remove', lambda t: t.rbd.trash_remove(t.io, '123456789abc')),
            ('get', lambda t: t.rbd.trash_get(t.io, '123456789abc'))])
def missing(t, call):
    t.raises(rbd.ImageNotFound, call, t)


@case()
def get(t):
    number = moved(t)
    got = t.rbd.trash_get(t.io, number)
    t.eq((got['id'], got['name'], got['source']), (number, t.name, 'USER'))
    now = datetime.datetime.utcnow()
    t.ok(abs((now - got['deletion_time']).total_seconds()) < 60, got)
    t.ok(got['deferment_end_time'] >= got['deletion_time'])


@case()
def opened_by_id(t):
    """An image in the trash can be looked at, by its id."""
    number = moved(t)
    image = t.stack.enter_context(rbd.Image(t.io, image_id=number, read_only=True))
    t.eq(image.size(), 8 * MIB)


@case()
def in_use(t):
    """An image that is open goes there too; who has it open goes on."""
    image = t.image()
    image.write(b'x', 0)
    t.rbd.trash_move(t.ioctx(cluster=t.client()), t.name)
    image.write(b'y', 1)
    t.eq(image.read(0, 2), b'xy')
    t.errno(16, t.rbd.trash_remove, t.ioctx(cluster=t.client()), image.id())


@case()
def remove(t):
    number = moved(t)
    t.rbd.trash_remove(t.io, number)
    t.raises(rbd.ImageNotFound, t.rbd.trash_get, t.io, number)
    t.ok('rbd_header.' + number not in {o.key for o in t.io.list_objects()})


@case()
def remove_not_expired(t):
    number = moved(t, 3600)
    t.raises(rbd.PermissionError, t.rbd.trash_remove, t.io, number)
    t.rbd.trash_remove(t.io, number, True)


@case()
def remove_not_expired_by_command(t):
    number = moved(t, 3600)
    t.cli('trash', 'rm', '--no-progress', number, code=1, says='Deferment time has not expired')
    t.cli('trash', 'rm', '--no-progress', '--force', number)


@case()
def purge(t):
    t.own_namespace()
    moved(t, name='a')
    later = moved(t, 3600, name='b')
    t.rbd.trash_purge(t.io)
    t.eq([e['id'] for e in t.rbd.trash_list(t.io)], [later])
    t.rbd.trash_purge(t.io, datetime.datetime.utcnow() + datetime.timedelta(hours=2))
    t.eq(list(t.rbd.trash_list(t.io)), [])


@case()
def purge_by_command(t):
    t.own_namespace()
    moved(t, name='a')
    later = moved(t, 86400, name='b')
    t.cli('trash', 'purge', '--no-progress', '--expired-before', '2000-01-01')
    t.eq(len(t.json('trash', 'ls')), 2)
    t.cli('trash', 'purge', '--no-progress')
    t.eq([e['id'] for e in t.json('trash', 'ls')], [later])


@case()
def purge_by_threshold(t):
    """The pool is emptier than the threshold, so nothing has to go."""
    t.own_namespace()
    moved(t, name='a')
    t.rbd.trash_purge(t.io, None, 0.99)
    t.eq(len(list(t.rbd.trash_list(t.io))), 1)


@case()
def list_long(t):
    t.own_namespace()
    number = moved(t, 3600)
    rows = t.json('trash', 'ls', '-l')
    t.eq([(r['id'], r['name'], r['source']) for r in rows], [(number, t.name, 'USER')])
    t.has(rows[0]['status'], 'protected until ')
    t.eq(t.cli('trash', 'ls'), f'{number} {t.name}\n')


@case()
def list_many(t):
    t.own_namespace()
    names = sorted(f'i{i}' for i in range(30))
    for n in names:
        moved(t, name=n, size=0, features=0)
    t.eq(sorted(e['name'] for e in t.rbd.trash_list(t.io)), names)


@case()
def expires_at(t):
    t.create()
    t.cli('trash', 'mv', t.name, '--expires-at', '2 hours')
    row = [r for r in t.json('trash', 'ls', '-l') if r['name'] == t.name][0]
    t.has(row['status'], 'protected until ')


@case()
def expires_at_nonsense(t):
    t.create()
    t.cli('trash', 'mv', t.name, '--expires-at', 'soon', code=22)


@case()
def two_of_one_name(t):
    t.own_namespace()
    a, b = moved(t), moved(t)
    t.eq({e['id'] for e in t.rbd.trash_list(t.io)}, {a, b})
    t.cli('trash', 'restore', a)
    t.cli('trash', 'restore', b, code=17)
    t.cli('trash', 'restore', '--image', t.name + '_b', b)


@case()
def removed_while_another_has_the_name(t):
    number = moved(t)
    again = t.image().id()
    t.rbd.trash_remove(t.io, number)
    t.eq(t.open().id(), again)


# Migration. An image moves while it is used: prepared, executed, committed or aborted.

def prepared(t, **options):
    image = t.image(size=12 * MIB)
    data = pattern(9 * MIB, 3)
    image.write(data, MIB)
    image.metadata_set('k', 'v')
    image.close()
    options.setdefault('io', t.io)
    t.rbd.migration_prepare(t.io, t.name, options.pop('io'), t.name + '_to', **options)
    return data


def status(t, name=None):
    return t.rbd.migration_status(t.io, name or t.name + '_to')


@case()
def migration(t):
    data = prepared(t)
    t.eq((status(t)['state'], status(t)['source_image_name'], status(t)['dest_image_name']),
         (STATE['PREPARED'], t.name, t.name + '_to'))
    image = t.open(t.name + '_to')
    t.eq(image.features() & rbd.RBD_FEATURE_MIGRATING, rbd.RBD_FEATURE_MIGRATING)
    image.write(b'during', 2 * MIB)
    t.ok(image.read(MIB, 9 * MIB) == data[:MIB] + b'during' + data[MIB + 6:])
    image.close()
    t.rbd.migration_execute(t.io, t.name + '_to')
    t.eq(status(t)['state'], STATE['EXECUTED'])
    t.rbd.migration_commit(t.io, t.name + '_to')
    t.raises(rbd.ImageNotFound, t.open, t.name)
    image = t.open(t.name + '_to')
    t.ok(image.read(MIB, 9 * MIB) == data[:MIB] + b'during' + data[MIB + 6:])
    t.eq((image.features() & rbd.RBD_FEATURE_MIGRATING, image.metadata_get('k')), (0, 'v'))
    t.errno(22, status, t)


@case()
def migration_aborted(t):
    data = prepared(t)
    t.rbd.migration_abort(t.io, t.name + '_to')
    t.raises(rbd.ImageNotFound, t.open, t.name + '_to')
    t.ok(t.open(t.name).read(MIB, 9 * MIB) == data)


@case()
def migration_aborted_after_execute(t):
    data = prepared(t)
    t.rbd.migration_execute(t.io, t.name + '_to')
    t.rbd.migration_abort(t.io, t.name + '_to')
    t.ok(t.open(t.name).read(MIB, 9 * MIB) == data)


@case()
def migration_to_another_pool(t):
    io = t.ioctx('rbdsuite2')
    data = prepared(t, io=io)
    t.rbd.migration_execute(io, t.name + '_to')
    t.rbd.migration_commit(io, t.name + '_to')
    t.raises(rbd.ImageNotFound, t.open, t.name)
    t.ok(t.open(t.name + '_to', io=io).read(MIB, 9 * MIB) == data)


@case()
def migration_to_another_layout(t):
    data = prepared(t, order=20, features=rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_STRIPINGV2,
                    stripe_unit=64 * KIB, stripe_count=4)
    t.rbd.migration_execute(t.io, t.name + '_to')
    t.rbd.migration_commit(t.io, t.name + '_to')
    image = t.open(t.name + '_to')
    t.eq((image.stat()['order'], image.stripe_count()), (20, 4))
    t.ok(image.read(MIB, 9 * MIB) == data)


@case()
def migration_in_place(t):
    """To a data pool, under the same name."""
    image = t.image(size=12 * MIB)
    image.write(b'moved', 5 * MIB)
    image.close()
    t.rbd.migration_prepare(t.io, t.name, t.io, t.name, data_pool=b'rbdsuite2')
    t.rbd.migration_execute(t.io, t.name)
    t.rbd.migration_commit(t.io, t.name)
    image = t.open()
    t.eq((image.read(5 * MIB, 5), image.data_pool_id()),
         (b'moved', t.ioctx('rbdsuite2').get_pool_id()))


@case()
def migration_keeps_the_source(t):
    """The source cannot be written, removed or moved again while it is migrated."""
    prepared(t)
    t.raises(rbd.Error, t.rbd.migration_prepare, t.io, t.name, t.io, t.name + '_x')
    t.raises(rbd.ImageNotFound, t.open, t.name)


@case()
def migration_in_use(t):
    t.image().write(b'x', 0)
    t.errno(16, t.rbd.migration_prepare, t.io, t.name, t.io, t.name + '_to')


@case()
def migration_onto_another(t):
    t.create()
    t.create(t.name + '_to')
    t.raises(rbd.ImageExists, t.rbd.migration_prepare, t.io, t.name, t.io, t.name + '_to')


@case(rows=[('execute', 'migration_execute'), ('commit', 'migration_commit'),
            ('abort', 'migration_abort'), ('status', 'migration_status')])
def migration_of_none(t, call):
    t.raises(rbd.ImageNotFound, getattr(t.rbd, call), t.io, t.name)
    t.create()
    t.errno(22, getattr(t.rbd, call), t.io, t.name)


@case()
def migration_commit_too_early(t):
    prepared(t)
    t.errno(22, t.rbd.migration_commit, t.io, t.name + '_to')


@case()
def migration_by_command(t):
    t.image().write(b'x', MIB)
    t.stack.pop_all().close()
    spec = f'{t.pool}/{t.name}'
    t.cli('migration', 'prepare', spec, spec + '_to', raw=True)
    got = t.json('status', spec + '_to', raw=True)['migration']
    t.eq((got['source_pool_name'], got['source_image_name'], got['dest_image_name'],
          got['state']), (t.pool, t.name, t.name + '_to', 'prepared'))
    t.cli('migration', 'execute', '--no-progress', spec + '_to', raw=True)
    t.cli('migration', 'commit', '--no-progress', spec + '_to', raw=True)
    t.eq(t.open(t.name + '_to', io=t.ioctx()).read(MIB, 1), b'x')


@case()
def migration_of_a_group_member(t):
    t.create()
    t.rbd.group_create(t.io, t.name)
    g = rbd.Group(t.io, t.name)
    g.add_image(t.io, t.name)
    t.rbd.migration_prepare(t.io, t.name, t.io, t.name + '_to')
    t.rbd.migration_execute(t.io, t.name + '_to')
    t.rbd.migration_commit(t.io, t.name + '_to')
    t.eq([r['name'] for r in g.list_images()], [t.name + '_to'])


@case()
def import_only(t):
    """An image from a file, at once usable, copied when it is executed."""
    import json
    path = t.tmp()
    data = pattern(5 * MIB)
    with open(path, 'wb') as f:
        f.write(data)
    spec = json.dumps({'type': 'raw', 'stream': {'type': 'file', 'file_path': path}})
    t.rbd.migration_prepare_import(spec, t.io, t.name)
    image = t.open()
    t.ok(image.read(0, 5 * MIB) == data)
    t.eq(image.migration_source_spec()['type'], 'raw')
    image.close()
    t.rbd.migration_execute(t.io, t.name)
    t.rbd.migration_commit(t.io, t.name)
    t.ok(t.open().read(0, 5 * MIB) == data)
