"""Metadata, configuration of images and pools, namespaces, groups."""
import rbd

from rbd_frame import MIB, case

QOS = ['iops', 'bps', 'read_iops', 'write_iops', 'read_bps', 'write_bps']


# Metadata.

@case()
def image_metadata(t):
    image = t.image()
    for k, v in (('b', '2'), ('a', '1'), ('c', '3'), ('a', 'one')):
        image.metadata_set(k, v)
    t.eq(list(image.metadata_list()), [('a', 'one'), ('b', '2'), ('c', '3')])
    t.eq(image.metadata_get('a'), 'one')
    image.metadata_remove('a')
    t.raises(KeyError, image.metadata_get, 'a')
    t.raises(KeyError, image.metadata_remove, 'a')


@case(rows=[('empty', ''), ('unicode', '값\u00e9'), ('large', 'v' * 20000), ('lines', 'a\nb')])
def image_metadata_value(t, value):
    image = t.image()
    image.metadata_set('k', value)
    t.eq(image.metadata_get('k'), value)


@case()
def image_metadata_of_many_keys(t):
    image = t.image()
    want = [(f'key{i:03}', str(i)) for i in range(150)]
    for k, v in want:
        image.metadata_set(k, v)
    t.eq(list(image.metadata_list()), want)


@case()
def image_metadata_by_command(t):
    t.create()
    t.cli('image-meta', 'set', t.name, 'key', 'a value')
    t.eq(t.cli('image-meta', 'get', t.name, 'key'), 'a value\n')
    t.eq(t.json('image-meta', 'list', t.name), {'key': 'a value'})
    t.cli('image-meta', 'rm', t.name, 'key')
    t.cli('image-meta', 'get', t.name, 'key', code=2, says='(2) No such file or directory')
    t.cli('image-meta', 'rm', t.name, 'key', code=2)


@case()
def pool_metadata(t):
    r, io = t.rbd, t.ioctx('rbdsuite2')
    r.pool_metadata_set(io, 'suite_k', 'v')
    t.ok(('suite_k', 'v') in list(r.pool_metadata_list(io)))
    t.eq(r.pool_metadata_get(io, 'suite_k'), 'v')
    r.pool_metadata_remove(io, 'suite_k')
    t.raises(KeyError, r.pool_metadata_get, io, 'suite_k')
    t.raises(KeyError, r.pool_metadata_remove, io, 'suite_k')


# Configuration.

@case()
def image_config(t):
    image = t.image()
    image.config_set('rbd_cache', 'false')
    t.eq(image.config_get('rbd_cache'), 'false')
    rows = {r['name']: (r['value'], r['source']) for r in image.config_list()}
    t.eq(rows['rbd_cache'], ('false', rbd.RBD_CONFIG_SOURCE_IMAGE))
    t.eq(rows['rbd_readahead_max_bytes'][1], rbd.RBD_CONFIG_SOURCE_CONFIG)
    image.config_remove('rbd_cache')
    t.raises(KeyError, image.config_get, 'rbd_cache')
    image.close()
    rows = {r['name']: (r['value'], r['source']) for r in t.open().config_list()}
    t.eq(rows['rbd_cache'], ('true', rbd.RBD_CONFIG_SOURCE_CONFIG))


@case()
def image_config_unknown(t):
    image = t.image()
    t.errno(22, image.config_set, 'rbd_nope', '1')
    t.errno(22, image.metadata_set, 'conf_nope', '1')


@case()
def image_config_takes_effect(t):
    """Discards smaller than the grain are left out, so the grain shows that it was read."""
    t.create()
    t.cli('config', 'image', 'set', t.name, 'rbd_discard_granularity_bytes', '4096')
    image = t.open()
    image.write(b'x' * 16384, 0)
    image.discard(4096, 4096)
    t.eq(image.read(0, 16384), b'x' * 4096 + bytes(4096) + b'x' * 8192)


@case()
def image_config_by_command(t):
    t.create()
    t.cli('config', 'image', 'set', t.name, 'rbd_cache_size', '1048576')
    t.eq(t.cli('config', 'image', 'get', t.name, 'rbd_cache_size'), '1048576\n')
    row = [r for r in t.json('config', 'image', 'ls', t.name) if r['name'] == 'rbd_cache_size']
    t.eq(row, [{'name': 'rbd_cache_size', 'value': '1048576', 'source': 'image'}])
    t.cli('config', 'image', 'rm', t.name, 'rbd_cache_size')
    t.cli('config', 'image', 'get', t.name, 'rbd_cache_size', code=2,
          says='rbd_cache_size is not set')


@case(rows=[('unknown', 'rbd_nope', '1'), ('value', 'rbd_cache_size', 'much')])
def image_config_refused(t, key, value):
    t.create()
    t.cli('config', 'image', 'set', t.name, key, value, code=22)


@case()
def pool_config(t):
    r, io = t.rbd, t.ioctx('rbdsuite2')
    r.config_set(io, 'rbd_readahead_trigger_requests', '17')
    t.eq(r.config_get(io, 'rbd_readahead_trigger_requests'), '17')
    rows = {x['name']: (x['value'], x['source']) for x in r.config_list(io)}
    t.eq(rows['rbd_readahead_trigger_requests'], ('17', rbd.RBD_CONFIG_SOURCE_POOL))
    t.rbd.create(io, t.name, MIB, old_format=False)
    rows = {x['name']: (x['value'], x['source'])
            for x in t.open(io=io).config_list()}
    t.eq(rows['rbd_readahead_trigger_requests'], ('17', rbd.RBD_CONFIG_SOURCE_POOL))
    r.config_remove(io, 'rbd_readahead_trigger_requests')
    t.raises(KeyError, r.config_get, io, 'rbd_readahead_trigger_requests')


@case()
def pool_config_by_command(t):
    def run(verb, *words, **o):
        return t.cli('config', 'pool', verb, 'rbdsuite2', *words, raw=True, **o)
    run('set', 'rbd_concurrent_management_ops', '5')
    t.eq(run('get', 'rbd_concurrent_management_ops'), '5\n')
    t.has(run('ls'), 'rbd_concurrent_management_ops')
    run('rm', 'rbd_concurrent_management_ops')
    run('get', 'rbd_concurrent_management_ops', code=2)


@case()
def global_config_by_command(t):
    def run(verb, *words, **o):  # of no client that has images open: see migrate's sums()
        return t.cli('config', 'global', verb, 'client.rbdsuite', *words, raw=True, **o)
    run('set', 'rbd_request_timed_out_seconds', '33')
    t.eq(run('get', 'rbd_request_timed_out_seconds'), '33\n')
    t.has(run('ls'), 'rbd_request_timed_out_seconds')
    run('rm', 'rbd_request_timed_out_seconds')
    run('get', 'rbd_request_timed_out_seconds', code=2)


@case(rows=[(q, q) for q in QOS])
def qos(t, kind):
    """The setting is taken and read back; with it IO is still right."""
    t.create()
    t.cli('config', 'image', 'set', t.name, f'rbd_qos_{kind}_limit', '10000000')
    t.cli('config', 'image', 'set', t.name, f'rbd_qos_{kind}_burst', '20000000')
    image = t.open()
    image.write(b'x' * 100000, 5)
    t.eq(image.read(4, 100002), b'\0' + b'x' * 100000 + b'\0')


@case()
def qos_limits(t):
    t.create()
    t.cli('config', 'image', 'set', t.name, 'rbd_qos_write_iops_limit', '20')
    t.cli('config', 'image', 'set', t.name, 'rbd_cache', 'false')
    out = t.cli('bench', '--io-type', 'write', '--io-size', '4K', '--io-total', '320K', t.name)
    seconds = float(out.split('elapsed:')[1].split()[0])
    t.ok(seconds >= 2, f'80 writes at 20 per second in {seconds} s')


# Namespaces.

@case()
def namespaces(t):
    a, b = t.name + '_a', t.name + '_b'
    for n in (a, b):
        t.rbd.namespace_create(t.io, n)
    t.ok({a, b} <= set(t.rbd.namespace_list(t.io)))
    t.eq(t.rbd.namespace_exists(t.io, a), True)
    t.rbd.namespace_remove(t.io, a)
    t.eq(t.rbd.namespace_exists(t.io, a), False)


@case()
def namespace_exists_already(t):
    t.rbd.namespace_create(t.io, t.name)
    t.raises(rbd.ImageExists, t.rbd.namespace_create, t.io, t.name)


@case()
def namespace_missing(t):
    t.raises(rbd.ImageNotFound, t.rbd.namespace_remove, t.io, t.name)


@case()
def namespace_in_use(t):
    t.own_namespace()
    t.create()
    t.io.set_namespace('')
    t.errno(16, t.rbd.namespace_remove, t.io, t.namespace)
    t.io.set_namespace(t.namespace)
    t.rbd.trash_move(t.io, t.name)
    t.io.set_namespace('')
    t.errno(16, t.rbd.namespace_remove, t.io, t.namespace)


@case()
def namespace_keeps_names_apart(t):
    t.image().write(b'outer', 0)
    t.own_namespace()
    image = t.image()
    image.write(b'inner', 0)
    t.eq(image.read(0, 5), b'inner')
    t.eq(t.rbd.list(t.io), [t.name])
    t.io.set_namespace('')
    t.eq(t.open(read_only=True).read(0, 5), b'outer')


@case()
def namespace_by_command(t):
    spec = f'{t.pool}/{t.name}'
    t.cli('namespace', 'create', spec, raw=True)
    t.cli('namespace', 'create', spec, code=17, says='failed to created namespace', raw=True)
    t.ok({'name': t.name} in t.json('namespace', 'ls'))
    t.cli('create', '--size', '8M', spec + '/i', raw=True)
    t.eq(t.cli('ls', spec, raw=True), 'i\n')
    t.cli('namespace', 'rm', spec, code=16, raw=True, says='namespace contains images')
    t.cli('rm', '--no-progress', spec + '/i', raw=True)
    t.cli('namespace', 'rm', spec, raw=True)
    t.cli('namespace', 'rm', spec, code=2, raw=True)


@case()
def namespace_of_an_image_in_info(t):
    t.own_namespace()
    image = t.image()
    t.has(image.block_name_prefix(), 'rbd_data.')
    t.eq(t.json('status', t.name)['watchers'][0]['client'], t.cluster.get_instance_id())


# Groups.

def group(t, name=None):
    t.rbd.group_create(t.io, name or t.name)
    return rbd.Group(t.io, name or t.name)


@case()
def groups(t):
    t.own_namespace()
    for n in ('b', 'a'):
        t.rbd.group_create(t.io, n)
    t.eq(sorted(t.rbd.group_list(t.io)), ['a', 'b'])
    t.rbd.group_rename(t.io, 'a', 'c')
    t.rbd.group_remove(t.io, 'b')
    t.eq(t.rbd.group_list(t.io), ['c'])


@case()
def group_exists_already(t):
    group(t)
    t.raises(rbd.ObjectExists, t.rbd.group_create, t.io, t.name)


@case()
def group_missing(t):
    t.raises(rbd.ImageNotFound, t.rbd.group_rename, t.io, t.name, 'x')
    t.eq(list(rbd.Group(t.io, t.name).list_images()), [])


@case()
def group_remove_missing(t):
    """It is gone already."""
    t.rbd.group_remove(t.io, t.name)
    t.ok(t.name not in t.rbd.group_list(t.io))


@case()
def group_renamed_onto_another(t):
    group(t)
    group(t, t.name + '_to')
    t.raises(rbd.ImageExists, t.rbd.group_rename, t.io, t.name, t.name + '_to')


@case()
def group_images(t):
    g = group(t)
    names = [t.create(f'{t.name}_{i}') for i in range(3)]
    for n in names:
        g.add_image(t.io, n)
    rows = list(g.list_images())
    t.eq([(r['name'], r['pool'], r['state']) for r in sorted(rows, key=lambda r: r['name'])],
         [(n, t.io.get_pool_id(), rbd.RBD_GROUP_IMAGE_STATE_ATTACHED) for n in names])
    g.remove_image(t.io, names[1])
    t.eq(sorted(r['name'] for r in g.list_images()), [names[0], names[2]])


@case()
def group_of_an_image(t):
    g = group(t)
    image = t.image()
    t.eq(image.group()['name'], '')
    g.add_image(t.io, t.name)
    t.eq(image.group(), {'pool': t.io.get_pool_id(), 'name': t.name})
    t.eq(t.open().op_features() & rbd.RBD_OPERATION_FEATURE_GROUP,
         rbd.RBD_OPERATION_FEATURE_GROUP)
    t.ok(t.open().features() & rbd.RBD_FEATURE_OPERATIONS)
    t.has(t.cli('info', t.name), f'group: {t.pool}/{t.name}', 'op_features: group')
    g.remove_image(t.io, t.name)
    t.eq(t.open().features() & rbd.RBD_FEATURE_OPERATIONS, 0)


@case()
def group_image_twice(t):
    g, image = group(t), t.create()
    g.add_image(t.io, image)
    g.add_image(t.io, image)
    t.eq([r['name'] for r in g.list_images()], [image])


@case()
def group_image_in_two(t):
    image = t.create()
    group(t).add_image(t.io, image)
    t.errno(17, group(t, t.name + '_2').add_image, t.io, image)


@case()
def group_image_missing(t):
    g = group(t)
    t.raises(rbd.ObjectNotFound, g.add_image, t.io, 'nope')
    t.create()
    g.remove_image(t.io, t.name)
    t.raises(rbd.ObjectNotFound, g.remove_image, t.io, 'nope')


@case()
def group_image_of_another_pool(t):
    io = t.ioctx('rbdsuite2')
    t.rbd.create(io, t.name, MIB, old_format=False)
    g = group(t)
    g.add_image(io, t.name)
    t.eq([r['pool'] for r in g.list_images()], [io.get_pool_id()])


@case()
def group_removed_lets_images_go(t):
    g, image = group(t), t.create()
    g.add_image(t.io, image)
    t.rbd.group_remove(t.io, t.name)
    t.eq(t.open().group()['name'], '')


@case()
def group_image_is_kept(t):
    """An image of a group is not removed."""
    g, image = group(t), t.create()
    g.add_image(t.io, image)
    t.errno(31, t.rbd.remove, t.io, image)
    g.remove_image(t.io, image)
    t.rbd.remove(t.io, image)


@case()
def group_by_command(t):
    t.own_namespace()
    t.create('i')
    t.cli('group', 'create', 'g')
    t.cli('group', 'create', 'g', code=17)
    t.eq(t.json('group', 'ls'), ['g'])
    spec = f'{t.pool}/{t.namespace}/'
    t.cli('group', 'image', 'add', spec + 'g', spec + 'i', raw=True)
    t.eq(t.json('group', 'image', 'ls', spec + 'g', raw=True),
         [{'image': 'i', 'pool': t.pool, 'namespace': t.namespace, 'state': 0}])
    t.cli('group', 'rename', spec + 'g', spec + 'h', raw=True)
    t.cli('group', 'image', 'rm', spec + 'h', spec + 'i', raw=True)
    t.cli('group', 'rm', 'h')
    t.eq(t.json('group', 'ls'), [])
