"""What goes in and out of images through the command line: import, export, copies, usage."""
import rbd

from rbd_frame import KIB, MIB, case, pattern

OBJ = 4 * MIB


def sparse():
    """Two runs of data with a hole between, and an odd length."""
    return bytes(MIB) + pattern(3 * MIB) + bytes(12 * MIB) + pattern(MIB + 1536, 4)


def file(t, data):
    path = t.tmp()
    with open(path, 'wb') as f:
        f.write(data)
    return path


def read(path):
    with open(path, 'rb') as f:
        return f.read()


@case()
def import_export(t):
    data = sparse()
    t.cli('import', '--no-progress', file(t, data), t.name)
    t.eq(t.open(read_only=True).size(), len(data))
    out = t.tmp()
    t.cli('export', '--no-progress', t.name, out)
    t.ok(read(out) == data)
    t.eq([(d['offset'], d['length']) for d in t.json('diff', '--whole-object', t.name)],
         [(0, OBJ), (4 * OBJ, MIB + 1536)])


@case()
def import_from_stdin(t):
    data = sparse()
    t.cli('import', '--no-progress', '-', t.name, stdin=data)
    t.ok(t.open(read_only=True).read(0, len(data)) == data)


@case()
def export_to_stdout(t):
    t.image(size=3 * MIB).write(b'\xff\xfe', MIB)
    got = t.cli('export', '--no-progress', t.name, '-')
    t.ok(got == bytes(MIB) + b'\xff\xfe' + bytes(2 * MIB - 2))


@case(rows=[('order', ['--object-size', '64K'], lambda i: i.stat()['order'], 16),
            ('features', ['--image-feature', 'layering'], lambda i: i.features(), 1),
            ('striped', ['--stripe-unit', '64K', '--stripe-count', '4'],
             lambda i: (i.stripe_unit(), i.stripe_count()), (64 * KIB, 4)),
            ('data_pool', ['--data-pool', 'rbdsuite2'],
             lambda i: bool(i.features() & rbd.RBD_FEATURE_DATA_POOL), True)])
def import_with(t, words, get, want):
    data = pattern(5 * MIB)
    t.cli('import', '--no-progress', *words, file(t, data), t.name)
    image = t.open(read_only=True)
    t.eq(get(image), want)
    t.ok(image.read(0, 5 * MIB) == data)


@case()
def import_missing_file(t):
    t.cli('import', '--no-progress', '/nope/file', t.name, code=2)
    t.ok(t.name not in t.rbd.list(t.io))


@case()
def import_onto_another(t):
    t.create()
    t.cli('import', '--no-progress', file(t, b'x' * 512), t.name, code=17)


@case()
def import_sparse(t):
    """Zeroes of the sparse size are left out."""
    t.cli('import', '--no-progress', '--sparse-size', '4M', file(t, bytes(8 * MIB) + b'x'), t.name)
    t.eq([d['offset'] for d in t.json('diff', '--whole-object', t.name)], [8 * MIB])


@case()
def export_missing(t):
    t.cli('export', '--no-progress', t.name, t.tmp(), code=2)


@case()
def export_onto_a_file(t):
    t.create(size=MIB)
    t.cli('export', '--no-progress', t.name, file(t, b'old'), code=17)


@case()
def export_format_2(t):
    """The second format takes metadata and settings along."""
    image = t.image(size=5 * MIB, order=20)
    image.write(b'v2', MIB)
    image.metadata_set('k', 'v')
    image.close()
    out = t.tmp()
    t.cli('export', '--no-progress', '--export-format', '2', t.name, out)
    t.has(str(read(out)[:14]), 'rbd image v2')
    t.cli('import', '--no-progress', '--export-format', '2', out, t.name + '_back')
    image = t.open(t.name + '_back')
    t.eq((image.stat()['order'], image.size(), image.read(MIB, 2), image.metadata_get('k')),
         (20, 5 * MIB, b'v2', 'v'))


@case()
def import_format_2_of_nonsense(t):
    t.cli('import', '--no-progress', '--export-format', '2', file(t, b'nonsense' * 100), t.name,
          code=22)


@case()
def export_diff(t):
    t.image().write(b'x' * 100, OBJ + 10)
    out = t.tmp()
    t.cli('export-diff', '--no-progress', t.name, out)
    t.create(t.name + '_to', size=0)
    t.cli('import-diff', '--no-progress', out, t.name + '_to')
    image = t.open(t.name + '_to', read_only=True)
    t.eq((image.size(), image.read(OBJ + 9, 102)), (8 * MIB, b'\0' + b'x' * 100 + b'\0'))


@case()
def import_diff_of_nonsense(t):
    t.create()
    t.cli('import-diff', '--no-progress', file(t, b'nonsense' * 10), t.name, code=22)


@case()
def copy(t):
    image, data = t.image(size=12 * MIB), pattern(5 * MIB)
    image.write(data, 6 * MIB)
    image.metadata_set('k', 'v')
    image.copy(t.io, t.name + '_to')
    to = t.open(t.name + '_to')
    t.eq((to.size(), to.metadata_get('k'), to.features()), (12 * MIB, 'v', image.features()))
    t.ok(to.read(6 * MIB, 5 * MIB) == data)


@case()
def copy_to_another_pool(t):
    image = t.image()
    image.write(b'x', 5 * MIB)
    io = t.ioctx('rbdsuite2')
    image.copy(io, t.name)
    t.eq(t.open(io=io).read(5 * MIB, 1), b'x')


@case()
def copy_with_layout(t):
    image = t.image()
    image.write(b'x' * MIB, 3 * MIB)
    image.copy(t.io, t.name + '_to', features=3, order=20, stripe_unit=64 * KIB, stripe_count=2)
    to = t.open(t.name + '_to')
    t.eq((to.features(), to.stat()['order'], to.stripe_count()), (3, 20, 2))
    t.ok(to.read(3 * MIB, MIB) == b'x' * MIB)


@case()
def copy_onto_another(t):
    image = t.image()
    t.create(t.name + '_to')
    t.raises(rbd.ImageExists, image.copy, t.io, t.name + '_to')


@case()
def copy_by_command(t):
    t.image().write(b'x', 5 * MIB)
    t.cli('cp', '--no-progress', t.name, f'{t.pool}/{t.name}_to')
    t.eq(t.open(t.name + '_to').read(5 * MIB, 1), b'x')


@case()
def copy_with_progress(t):
    t.image().write(b'x', 5 * MIB)
    run = t.cli('cp', t.name, f'{t.pool}/{t.name}_to', says='Image copy: 100% complete...done.')
    t.eq(run, '')


@case()
def deep_copy(t):
    image, data = t.image(size=12 * MIB), pattern(5 * MIB)
    image.write(data, 6 * MIB)
    image.metadata_set('k', 'v')
    image.deep_copy(t.io, t.name + '_to', order=23)
    to = t.open(t.name + '_to')
    t.eq((to.stat()['order'], to.metadata_get('k')), (23, 'v'))
    t.ok(to.read(6 * MIB, 5 * MIB) == data)


@case()
def deep_copy_by_command(t):
    t.image().write(b'x', 5 * MIB)
    t.cli('deep', 'cp', '--no-progress', t.name, f'{t.pool}/{t.name}_to')
    t.eq(t.open(t.name + '_to').read(5 * MIB, 1), b'x')


@case()
def diff(t):
    image = t.image(size=40 * MIB, features=rbd.RBD_FEATURE_LAYERING)
    for at in (0, OBJ + 4096, 7 * OBJ):
        image.write(b'x' * 8192, at)
    image.flush()
    runs = []
    image.diff_iterate(0, image.size(), None, lambda o, n, e: runs.append((o, n, e)))
    t.eq(runs, [(0, 8192, True), (OBJ, 12288, True), (7 * OBJ, 8192, True)])
    runs.clear()
    image.diff_iterate(OBJ, 2 * OBJ, None, lambda o, n, e: runs.append((o, n, e)))
    t.eq(runs, [(OBJ, 12288, True)])
    runs.clear()
    image.diff_iterate(0, image.size(), None, lambda o, n, e: runs.append((o, n, e)), True, True)
    t.eq(runs, [(0, OBJ, True), (OBJ, OBJ, True), (7 * OBJ, OBJ, True)])


@case()
def diff_from_missing_snapshot(t):
    image = t.image()
    t.raises(rbd.ImageNotFound, image.diff_iterate, 0, image.size(), 'nope', lambda o, n, e: None)


@case()
def diff_by_command(t):
    t.image().write(b'x' * 10, OBJ)
    t.has(t.cli('diff', '--whole-object', t.name), 'Offset', f'{OBJ}', 'data')
    t.eq(t.json('diff', '--whole-object', t.name),
         [{'offset': OBJ, 'length': OBJ, 'exists': 'true'}])


@case()
def usage(t):
    t.own_namespace()
    t.image('a', size=40 * MIB).write(b'x' * 5 * MIB, 3 * MIB)
    t.create('b', size=20 * MIB)
    got = t.json('du')
    t.eq((got['total_provisioned_size'], got['total_used_size']), (60 * MIB, 2 * OBJ))
    t.eq([(r['name'], r['provisioned_size'], r['used_size']) for r in got['images']],
         [('a', 40 * MIB, 2 * OBJ), ('b', 20 * MIB, 0)])
    t.has(t.cli('du', 'a'), 'NAME', 'PROVISIONED', 'a', '40 MiB', '8 MiB')


@case()
def usage_exact(t):
    image = t.image(size=40 * MIB)
    image.write(b'x' * 8192, OBJ)
    image.close()
    t.eq(t.json('du', '--exact', t.name)['images'][0]['used_size'], 8192)


@case()
def usage_without_map(t):
    image = t.image(size=40 * MIB, features=1)
    image.write(b'x' * 8192, OBJ)
    image.close()
    t.eq(t.json('du', t.name)['images'][0]['used_size'], OBJ)


@case()
def usage_of_none(t):
    t.cli('du', 'nope', code=2)


@case()
def status(t):
    t.create()
    t.eq(t.json('status', t.name), {'watchers': []})
    image = t.open()
    rows = t.json('status', t.name)['watchers']
    t.eq([r['client'] for r in rows], [t.cluster.get_instance_id()])
    t.has(rows[0]['address'], '127.0.0.1:0/')
    image.close()


@case(rows=[('json', 'json'), ('xml', 'xml')])
def formats(t, how):
    t.create()
    for words in (['info', t.name], ['status', t.name], ['ls', '-l'], ['trash', 'ls'],
                  ['lock', 'ls', t.name], ['snap', 'ls', t.name], ['image-meta', 'ls', t.name],
                  ['group', 'ls'], ['namespace', 'ls'], ['pool', 'stats'],
                  ['config', 'image', 'ls', t.name], ['children', t.name]):
        out = t.cli(*words, '--format', how)
        if words[0] != 'image-meta':  # there is none, and nothing is printed
            t.ok(out.strip()[0] in ('<' if how == 'xml' else '[{'), words)
    t.cli('ls', '--format', 'yaml', code=1)


@case(rows=[('command', 'nope'), ('option', 'ls', '--nope'),
            ('size', 'create', '--size', 'big', 'x'), ('nothing', 'create')])
def refused(t, *words):
    t.cli(*words, code=22 if words == ('create',) else 1)


@case()
def devices(t):
    """Without a kernel module there is no device, and the list is empty."""
    t.cli('device', 'list', '-t', 'nbd', raw=True)


@case()
def diff_of_an_object_with_a_hole(t):
    image = t.image(size=OBJ, features=1)
    image.write(b'a' * 4096, 0)
    image.write(b'b' * 4096, MIB)
    image.flush()
    rows = t.json('diff', t.name)
    t.eq([(r['offset'], r['length']) for r in rows], [(0, MIB + 4096)])
