"""Making, opening, listing, renaming and removing images."""
import rbd

from rbd_frame import C, GIB, KIB, MIB, case, pattern

LAYERING, STRIPING, LOCK = (rbd.RBD_FEATURE_LAYERING, rbd.RBD_FEATURE_STRIPINGV2,
                            rbd.RBD_FEATURE_EXCLUSIVE_LOCK)
MAP, FAST, DEEP = (rbd.RBD_FEATURE_OBJECT_MAP, rbd.RBD_FEATURE_FAST_DIFF,
                   rbd.RBD_FEATURE_DEEP_FLATTEN)
JOURNAL, DATA_POOL = rbd.RBD_FEATURE_JOURNALING, rbd.RBD_FEATURE_DATA_POOL


@case(rows=[(str(order), order) for order in range(12, 26)])
def order(t, order):
    image = t.image(size=5 << order, order=order)
    stat = image.stat()
    t.eq((stat['order'], stat['obj_size'], stat['num_objs'], stat['size']),
         (order, 1 << order, 5, 5 << order))
    image.write(b'edge', (2 << order) - 2)
    t.eq(image.read((2 << order) - 4, 8), b'\0\0edge\0\0')


@case(rows=[('11', 11), ('26', 26), ('40', 40)])
def order_refused(t, order):
    t.errno(33, t.create, order=order)


@case(rows=[
    ('none', 0, 0),
    ('layering', LAYERING, LAYERING),
    ('lock', LOCK, LOCK),
    ('layering_lock', LAYERING | LOCK, LAYERING | LOCK),
    ('map', LOCK | MAP, LOCK | MAP | FAST),
    ('fast_diff', LOCK | MAP | FAST, LOCK | MAP | FAST),
    ('deep_flatten', LAYERING | DEEP, LAYERING | DEEP),
    ('deep_flatten_alone', DEEP, DEEP),
    ('journaling', LOCK | JOURNAL, LOCK | JOURNAL),
    ('all', LAYERING | LOCK | MAP | FAST | DEEP | JOURNAL,
     LAYERING | LOCK | MAP | FAST | DEEP | JOURNAL),
    ('default', None, LAYERING | LOCK | MAP | FAST | DEEP),
])
def features(t, asked, want):
    image = t.image(features=asked)
    t.eq(image.features(), want)
    image.write(b'feature', 100)
    t.eq(image.read(98, 9), b'\0\0feature')


@case(rows=[('fast_diff_alone', FAST), ('migrating', rbd.RBD_FEATURE_MIGRATING),
            ('operations', rbd.RBD_FEATURE_OPERATIONS)])
def features_dropped(t, asked):
    """These are not for the user to give: they are not there afterwards."""
    t.eq(t.image(features=asked).features(), 0)


@case(rows=[
    ('map_without_lock', MAP, 22),
    ('journaling_without_lock', JOURNAL, 22),
    ('unknown', 1 << 40, 38),
])
def features_refused(t, asked, errno):
    t.errno(errno, t.create, features=asked)
    t.eq(t.name in t.rbd.list(t.io), False)


@case(rows=[
    ('16k_x_4', 16 * KIB, 4), ('64k_x_16', 64 * KIB, 16), ('1m_x_3', MIB, 3),
    ('4m_x_2', 4 * MIB, 2), ('512_x_2', 512, 2),
])
def striping(t, unit, count):
    image = t.image(size=24 * MIB, features=LAYERING | STRIPING, stripe_unit=unit,
                    stripe_count=count)
    t.eq((image.stripe_unit(), image.stripe_count()), (unit, count))
    t.ok(image.features() & STRIPING)
    data = pattern(3 * MIB + 77)
    image.write(data, 5 * MIB - 33)
    t.eq(image.read(5 * MIB - 33, len(data)), data)
    image.discard(6 * MIB, MIB)
    t.eq(image.read(6 * MIB - 10, 10), data[MIB + 23:MIB + 33])
    t.eq(image.read(6 * MIB, MIB), bytes(MIB))


@case(rows=[('unit_only', MIB, 0), ('count_only', 0, 4), ('not_a_divisor', 3000, 2),
            ('larger_than_object', 8 * MIB, 2)])
def striping_refused(t, unit, count):
    t.errno(22, t.create, features=LAYERING | STRIPING, stripe_unit=unit, stripe_count=count)


@case()
def striping_of_one_object_is_none(t):
    image = t.image(stripe_unit=4 * MIB, stripe_count=1)
    t.eq(image.features() & STRIPING, 0)
    t.eq((image.stripe_unit(), image.stripe_count()), (4 * MIB, 1))


@case()
def data_pool(t):
    image = t.image(data_pool='rbdsuite2')
    data = t.ioctx('rbdsuite2')
    t.eq(image.data_pool_id(), data.get_pool_id())
    t.ok(image.features() & DATA_POOL)
    image.write(b'there', 0)
    prefix = image.block_name_prefix()
    t.has(prefix, f'rbd_data.{t.io.get_pool_id()}.', image.id())
    t.eq(data.read(prefix + '.' + '0' * 16), b'there')
    t.eq(image.read(0, 5), b'there')


@case()
def data_pool_missing(t):
    t.errno(2, t.create, data_pool='rbdsuite_nope')


@case()
def data_pool_of_an_image_without(t):
    t.eq(t.image().data_pool_id(), t.io.get_pool_id())


@case()
def data_pool_by_config(t):
    t.cli('config', 'pool', 'set', 'rbdsuite2', 'rbd_default_data_pool', 'rbdsuite', raw=True)
    t.stack.callback(t.cli, 'config', 'pool', 'rm', 'rbdsuite2', 'rbd_default_data_pool', raw=True)
    t.cli('create', '--size', '8M', 'rbdsuite2/' + t.name, raw=True)
    t.has(t.cli('info', 'rbdsuite2/' + t.name, raw=True), 'data_pool: rbdsuite\n')


@case()
def old_format(t):
    t.command('env', 'RBD_FORCE_ALLOW_V1=1', 'rbd', 'create', '--image-format', '1', '--size', '8M',
              f'{t.pool}/{t.name}')
    image = t.open()
    t.eq((image.old_format(), image.features(), image.stat()['order']), (True, 0, 22))
    image.write(b'old', 4 * MIB - 1)
    image.resize(20 * MIB)
    t.eq(image.read(4 * MIB - 2, 5), b'\0old\0')
    t.has(t.cli('info', t.name), 'format: 1', f'block_name_prefix: {image.block_name_prefix()}')
    image.close()
    t.ok(t.name in t.rbd.list(t.io))
    t.rbd.rename(t.io, t.name, t.name + '_to')
    t.rbd.remove(t.io, t.name + '_to')
    t.raises(rbd.ImageNotFound, t.open)


@case()
def old_format_by_command(t):
    t.cli('create', '--size', '8M', '--image-format', '1', t.name, code=22,
          says='(22) Invalid argument')


@case()
def exists(t):
    t.create()
    t.raises(rbd.ImageExists, t.create)


@case(rows=[('slash', 'a/b'), ('at', 'a@b'), ('empty', '')])
def name_refused_by_command(t, name):
    t.cli('create', '--size', '8M', name, code=22 if name != 'a/b' else 2)


@case(rows=[
    ('space', 'two words '), ('unicode', '디스크 \u00e9'), ('dots', '..'), ('plus', '+x=%'),
    ('quotes', '\'"\\'), ('newline', 'a\nb'), ('long', 'n' * 96), ('at', 'not@snap'),
    ('slash', 'a/b/c'), ('dash', '--size'),
])
def name(t, name):
    name = name + '_' + t.name[:12]
    image = t.image(name)
    image.write(b'named', 0)
    image.close()
    t.ok(name in t.rbd.list(t.io))
    t.eq(t.open(name, read_only=True).read(0, 5), b'named')


@case(rows=[('1_byte', 1, 1), ('odd', 4 * MIB + 1, 2), ('zero', 0, 0), ('1T', 1024 * GIB, 262144),
            ('16T', 16384 * GIB, 4194304)])
def size(t, size, objects):
    image = t.image(size=size, features=LAYERING if size > 1024 * GIB else None)
    t.eq((image.size(), image.stat()['num_objs']), (size, objects))
    if size:
        image.write(b'z', size - 1)
        t.eq(image.read(size - 1, 1), b'z')


@case()
def size_beyond_the_object_map(t):
    """An object map holds 256,000,000 objects."""
    t.errno(22, t.create, size=256000001 * 4 * MIB)


@case()
def size_of_exabytes_without_map(t):
    image = t.image(size=1 << 60, features=LAYERING)
    image.write(b'far', (1 << 60) - 3)
    t.eq(image.read((1 << 60) - 4, 4), b'\0far')


@case()
def thick(t):
    t.cli('create', '--size', '12M', '--thick-provision', '--no-progress', t.name)
    t.eq(t.json('du', t.name)['images'][0]['used_size'], 12 * MIB)


@case()
def open_missing(t):
    t.raises(rbd.ImageNotFound, t.open, t.name)


@case()
def open_by_id(t):
    number = t.image().id()
    image = t.stack.enter_context(rbd.Image(t.io, image_id=number))
    t.eq((image.get_name(), image.id()), (t.name, number))


@case()
def open_missing_id(t):
    t.raises(rbd.ImageNotFound, rbd.Image, t.io, image_id='123456789abc')


@case()
def open_missing_snapshot(t):
    t.create()
    t.raises(rbd.ImageNotFound, t.open, snapshot='nope')


@case()
def open_without_name(t):
    t.raises(rbd.InvalidArgument, rbd.Image, t.io)


@case()
def open_name_and_id(t):
    t.raises(rbd.InvalidArgument, rbd.Image, t.io, t.name, image_id='1')


@case(rows=[
    ('write', lambda i: i.write(b'x', 0)), ('discard', lambda i: i.discard(0, 10)),
    ('write_zeroes', lambda i: i.write_zeroes(0, 10)), ('resize', lambda i: i.resize(MIB)),
    ('metadata', lambda i: i.metadata_set('k', 'v')), ('flatten', lambda i: i.flatten()),
    ('features', lambda i: i.update_features(FAST, False)),
    ('snapshot', lambda i: i.create_snap('s')), ('limit', lambda i: i.set_snap_limit(3)),
    ('rebuild', lambda i: i.rebuild_object_map()),
    ('sparsify', lambda i: i.sparsify(4096)),
])
def read_only(t, call):
    t.create()
    image = t.open(read_only=True)
    t.errno(30, call, image)
    t.eq(image.read(0, 4), bytes(4))


@case()
def open_async(t):
    t.image().write(b'async', 0)
    opened = []
    completion = t.rbd.aio_open_image(lambda c, image: opened.append(image), t.io, t.name)
    completion.wait_for_complete_and_cb()
    t.eq(opened[0].read(0, 5), b'async')
    closed = opened[0].aio_close(lambda c: None)
    closed.wait_for_complete_and_cb()
    t.eq(closed.get_return_value(), 0)


@case()
def open_async_missing(t):
    completion = t.rbd.aio_open_image(lambda c, image: None, t.io, t.name)
    completion.wait_for_complete_and_cb()
    t.eq(completion.get_return_value(), -2)


@case()
def closed_image(t):
    image = t.image()
    image.close()
    image.close()
    t.raises(rbd.InvalidArgument, image.read, 0, 1)


@case()
def list_names_and_ids(t):
    t.own_namespace()
    ids = {}
    for name in ('b', 'a', 'c'):
        ids[name] = t.image(name).id()
    t.eq(t.rbd.list(t.io), ['a', 'b', 'c'])
    t.eq({i['name']: i['id'] for i in t.rbd.list2(t.io)}, ids)
    t.eq(t.cli('ls'), 'a\nb\nc\n')
    t.eq(t.json('ls'), ['a', 'b', 'c'])


@case()
def list_empty(t):
    t.own_namespace()
    t.eq(t.rbd.list(t.io), [])
    t.eq(t.json('ls'), [])


@case()
def list_many(t):
    """More names than one answer holds."""
    t.own_namespace()
    names = sorted(f'image{i}' for i in range(80))
    for name in names:
        t.create(name, size=0, features=0)
    t.eq(t.rbd.list(t.io), names)


@case()
def list_long(t):
    t.own_namespace()
    t.create('a', size=12 * MIB)
    t.image('b').lock_exclusive('me')
    rows = t.json('ls', '-l')
    t.eq([(r['image'], r['size'], r['format'], r.get('lock_type')) for r in rows],
         [('a', 12 * MIB, 2, None), ('b', 8 * MIB, 2, 'exclusive')])


@case()
def rename(t):
    number = t.image().id()
    t.rbd.rename(t.io, t.name, t.name + '_to')
    t.raises(rbd.ImageNotFound, t.open, t.name)
    t.eq(t.open(t.name + '_to').id(), number)


@case()
def rename_missing(t):
    t.raises(rbd.ImageNotFound, t.rbd.rename, t.io, t.name, t.name + '_to')


@case()
def rename_onto_another(t):
    t.create()
    t.create(t.name + '_to')
    t.raises(rbd.ImageExists, t.rbd.rename, t.io, t.name, t.name + '_to')


@case()
def rename_while_open(t):
    image = t.image()
    image.write(b'x', 0)
    t.cli('rename', t.name, t.name + '_to')
    image.write(b'y', 1)
    t.eq(t.open(t.name + '_to').read(0, 2), b'xy')


@case()
def remove(t):
    image = t.image()
    image.write(b'x', 5 * MIB)
    prefix, number = image.block_name_prefix(), image.id()
    image.close()
    percent = []

    def progress(now, all):
        percent.append(now * 100 // all)
        return 0
    t.rbd.remove(t.io, t.name, on_progress=progress)
    t.ok(percent and percent == sorted(percent), percent)
    t.raises(rbd.ImageNotFound, t.open)
    t.eq([o.key for o in t.io.list_objects()
          if number in o.key or prefix in o.key or o.key == 'rbd_id.' + t.name], [])


@case()
def remove_missing(t):
    t.raises(rbd.ImageNotFound, t.rbd.remove, t.io, t.name)


@case()
def remove_open_elsewhere(t):
    t.image().write(b'x', 0)
    t.errno(16, t.rbd.remove, t.ioctx(cluster=t.client()), t.name)
    t.cli('rm', t.name, code=16, says='image still has watchers')


@case()
def id_and_prefix(t):
    image = t.image()
    t.eq(image.block_name_prefix(), 'rbd_data.' + image.id())
    t.eq(image.old_format(), False)
    t.eq(image.get_name(), t.name)


@case()
def timestamps(t):
    image = t.image()
    created = image.create_timestamp()
    t.ok(created <= image.access_timestamp() and created <= image.modify_timestamp())


@case()
def timestamps_move(t):
    """What was written or read moves them, at most once in the configured interval."""
    t.create()
    for option in ('mtime', 'atime'):
        t.cli('config', 'image', 'set', t.name, f'rbd_{option}_update_interval', '1')
    image = t.open()
    modified, accessed = image.modify_timestamp(), image.access_timestamp()

    def moved():
        image.write(b'x', 0)
        image.read(0, 1)
        now = t.open(read_only=True)
        return now.modify_timestamp() > modified and now.access_timestamp() > accessed
    t.until(moved, 'both moved')


@case()
def info(t):
    t.create(size=12 * MIB)
    got = t.json('info', t.name)
    t.eq({k: got[k] for k in ('name', 'size', 'objects', 'order', 'object_size', 'snapshot_count',
                              'format', 'features', 'op_features', 'flags')},
         {'name': t.name, 'size': 12 * MIB, 'objects': 3, 'order': 22, 'object_size': 4 * MIB,
          'snapshot_count': 0, 'format': 2, 'op_features': [], 'flags': [],
          'features': ['layering', 'exclusive-lock', 'object-map', 'fast-diff', 'deep-flatten']})


@case()
def info_by_id(t):
    number = t.image().id()
    t.eq(t.json('info', '--image-id', number)['id'], number)


@case()
def info_in_xml(t):
    t.create()
    t.has(t.cli('info', t.name, '--format', 'xml'), f'<name>{t.name}</name>')


@case(rows=[('info', 'info'), ('rm', 'rm'), ('status', 'status'),
            ('resize', 'resize', '--size', '1M'), ('snap_ls', 'snap', 'ls'),
            ('trash_mv', 'trash', 'mv'), ('children', 'children'),
            ('lock_ls', 'lock', 'ls'), ('feature', 'feature', 'enable'),
            ('bench', 'bench', '--io-type', 'read'), ('diff', 'diff'),
            ('flatten', 'flatten'), ('sparsify', 'sparsify'),
            ('object_map', 'object-map', 'rebuild'), ('meta', 'image-meta', 'list'),
            ('du', 'du'), ('journal', 'journal', 'info'), ('watch', 'watch')])
def missing_by_command(t, *words):
    more = ['journaling'] if words[0] == 'feature' else []
    if words[0] == 'journal':
        more = ['--image']
        return t.cli('journal', 'info', '--image', t.name, code=2, says='No such file')
    t.cli(*words, t.name, *more, code=2, says='(2) No such file or directory')


@case()
def missing_pool_by_command(t):
    t.cli('info', 'rbdsuite_nope/x', code=2, says='(2) No such file or directory', raw=True)


@case()
def missing_namespace_by_command(t):
    t.cli('info', 'rbdsuite/nope/x', code=2, says="namespace 'nope' does not exist", raw=True)


@case()
def pool_stats(t):
    t.own_namespace()
    t.create('a', size=MIB)
    t.create('b', size=3 * MIB)
    t.rbd.trash_move(t.io, 'b')
    stats = t.rbd.pool_stats_get(t.io)
    t.eq((stats['image_count'], stats['image_provisioned_bytes'], stats['trash_count'],
          stats['trash_provisioned_bytes'], stats['image_snap_count']), (1, MIB, 1, 3 * MIB, 0))
    t.has(t.cli('pool', 'stats'), 'Total Images: 1 ', 'Total Snapshots: 0')


@case()
def pool_init_again(t):
    t.rbd.pool_init(t.io, False)
    t.cli('pool', 'init')


@case()
def pool_marks(t):
    """A pool that is in use by something else is not taken."""
    t.eq(t.io.application_list(), ['rbd'])


@case()
def metadata_objects(t):
    """Names and ids are where other implementations look for them."""
    image = t.image()
    names = {o.key for o in t.io.list_objects()}
    t.ok({'rbd_id.' + t.name, 'rbd_header.' + image.id(), 'rbd_directory', 'rbd_info',
          'rbd_object_map.' + image.id()} <= names)


@case()
def c_stat(t):
    t.create(size=20 * MIB)
    import ctypes
    size, order = ctypes.c_uint64(), ctypes.c_uint8()
    c = C(t)
    t.eq(c.get_size(ctypes.byref(size)), 0)
    t.eq(size.value, 20 * MIB)
    count = ctypes.c_uint64()
    t.eq(c.get_stripe_count(ctypes.byref(count)), 0)
    t.eq(count.value, 1)
