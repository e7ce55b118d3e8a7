"""Sizes, features and object maps of images that exist."""
import rbd

from rbd_frame import MIB, case, pattern

LOCK, MAP, FAST = (rbd.RBD_FEATURE_EXCLUSIVE_LOCK, rbd.RBD_FEATURE_OBJECT_MAP,
                   rbd.RBD_FEATURE_FAST_DIFF)
LAYERING, DEEP, JOURNAL = (rbd.RBD_FEATURE_LAYERING, rbd.RBD_FEATURE_DEEP_FLATTEN,
                           rbd.RBD_FEATURE_JOURNALING)
OBJ = 4 * MIB


@case(rows=[('same', 8 * MIB), ('one_more', 8 * MIB + 1), ('object', 12 * MIB), ('1T', 1 << 40)])
def grow(t, size):
    image = t.image()
    image.write(b'end', 8 * MIB - 3)
    image.resize(size)
    t.eq(image.size(), size)
    t.eq(image.read(8 * MIB - 3, 4), b'end' if size == 8 * MIB else b'end\0')
    if size > 8 * MIB:
        image.write(b'!', size - 1)
        t.eq(image.read(size - 1, 1), b'!')
    t.eq(t.open(read_only=True).size(), size)


@case(rows=[('to_nothing', 0), ('one_byte', 1), ('in_an_object', OBJ + 1000), ('object', OBJ),
            ('one_less', 8 * MIB - 1)])
def shrink(t, size):
    image, data = t.image(), pattern(8 * MIB)
    image.write(data, 0)
    image.resize(size)
    image.resize(8 * MIB)
    t.ok(image.read(0, 8 * MIB) == data[:size] + bytes(8 * MIB - size),
         'what was cut off is back, or too much is gone')


@case()
def shrink_not_allowed(t):
    t.raises(rbd.InvalidArgument, t.image().resize, MIB, False)


@case()
def shrink_asks(t):
    t.create()
    t.cli('resize', '--no-progress', '--size', '4M', t.name, code=22, says='shrinking an image')
    t.cli('resize', '--no-progress', '--size', '4M', '--allow-shrink', t.name)
    t.eq(t.open().size(), 4 * MIB)


@case()
def shrink_removes_objects(t):
    image = t.image(size=40 * MIB)
    for i in range(10):
        image.write(b'x', i * OBJ)
    image.resize(OBJ)
    prefix = image.block_name_prefix()
    t.eq([o.key for o in t.io.list_objects() if o.key.startswith(prefix)],
         [prefix + '.' + '0' * 16])


@case()
def resize_same_size_by_command(t):
    t.create()
    t.cli('resize', '--no-progress', '--size', '8M', t.name, code=22,
          says='new size is equal to original size')


@case()
def resize_is_heard(t):
    first = t.image()
    first.write(b'x', 0)
    second = t.open()
    first.resize(20 * MIB)
    t.until(lambda: second.size() == 20 * MIB, 'another client sees the new size')


@case()
def resize_asks_the_owner(t):
    """With an exclusive lock its owner resizes for others."""
    owner = t.image()
    owner.write(b'x', 0)
    other = t.open()
    other.resize(20 * MIB)
    t.eq((owner.size(), owner.is_exclusive_lock_owner()), (20 * MIB, True))


@case()
def resize_with_writes_under_way(t):
    image = t.image(size=64 * MIB)
    ops = [image.aio_write(b'w' * 4096, i * MIB, lambda c: None) for i in range(64)]
    image.resize(32 * MIB)
    for op in ops:
        op.wait_for_complete_and_cb()
        t.ok(op.get_return_value() in (0, -22), op.get_return_value())
    t.eq(image.read(31 * MIB, 4096), b'w' * 4096)


@case(rows=[
    ('map_off', MAP, False, 61 & ~MAP & ~FAST), ('fast_diff_off', FAST, False, 61 & ~MAP & ~FAST),
    ('journal_on', JOURNAL, True, 61 | JOURNAL),
    ('deep_flatten_off', DEEP, False, 61 & ~DEEP),
])
def update(t, features, on, want):
    image = t.image()
    image.write(b'x', 0)
    image.update_features(features, on)
    t.eq(image.features(), want)
    t.eq(t.open(read_only=True).features(), want)
    image.write(b'y', 1)
    t.eq(image.read(0, 2), b'xy')


@case(rows=[
    ('lock', LAYERING, LOCK), ('lock_map', LAYERING, LOCK | MAP),
    ('lock_map_fast', LAYERING, LOCK | MAP | FAST), ('lock_journal', LAYERING, LOCK | JOURNAL),
])
def update_on(t, base, features):
    image = t.image(features=base)
    image.write(b'x', 0)
    image.update_features(features, True)
    want = base | features | (FAST if features & MAP else 0)
    t.eq(image.features(), want)
    image.write(b'y', 1)
    t.eq(image.read(0, 2), b'xy')


@case(rows=[
    ('map_without_lock', LAYERING, MAP, True), ('journal_without_lock', LAYERING, JOURNAL, True),
    ('lock_under_map', None, LOCK, False), ('lock_under_journal', LOCK | JOURNAL, LOCK, False),
    ('deep_flatten_on', LAYERING, DEEP, True), ('layering_off', None, LAYERING, False),
    ('striping_on', None, rbd.RBD_FEATURE_STRIPINGV2, True), ('unknown', None, 1 << 40, True),
    ('on_again', None, LOCK, True), ('off_again', LAYERING, LOCK, False),
])
def update_refused(t, base, features, on):
    image = t.image(features=base)
    before = image.features()
    t.errno(22, image.update_features, features, on)
    t.eq(image.features(), before)


@case()
def update_by_command(t):
    t.create()
    t.cli('feature', 'disable', t.name, 'fast-diff,object-map', 'exclusive-lock')
    t.eq(t.json('info', t.name)['features'], ['layering', 'deep-flatten'])
    t.cli('feature', 'enable', t.name, 'exclusive-lock', 'object-map')
    t.eq(t.json('info', t.name)['features'],
         ['layering', 'exclusive-lock', 'object-map', 'fast-diff', 'deep-flatten'])


@case()
def update_unknown_by_command(t):
    t.create()
    t.cli('feature', 'enable', t.name, 'speed', code=1, says='the argument for option is invalid')


@case()
def update_is_heard(t):
    first = t.image()
    second = t.open()
    first.update_features(MAP | FAST, False)
    t.until(lambda: not second.features() & MAP, 'another client sees that the map is gone')


@case()
def update_asks_the_owner(t):
    owner = t.image()
    owner.write(b'x', 0)
    t.open().update_features(MAP | FAST, False)
    t.eq(owner.features() & MAP, 0)


@case(rows=[('to', rbd.RBD().features_to_string, 61,
             'deep-flatten,exclusive-lock,fast-diff,layering,object-map'),
            ('from', rbd.RBD().features_from_string, 'layering,exclusive-lock', 5)])
def names(t, call, value, want):
    got = call(value)
    t.eq(sorted(got.split(',')) if isinstance(got, str) else got,
         want.split(',') if isinstance(want, str) else want)


# Object maps.

def objects(t, image, whole=True):
    runs = []
    image.diff_iterate(0, image.size(), None, lambda o, n, e: runs.append((o // OBJ, n, e)), True,
                       whole)
    return [r[0] for r in runs]


@case()
def map_follows_writes(t):
    image = t.image(size=40 * MIB)
    for i in (1, 3, 9):
        image.write(b'x', i * OBJ)
    image.discard(3 * OBJ, OBJ)
    t.eq(objects(t, image), [1, 9])
    t.eq(image.flags(), 0)


@case()
def map_check_and_rebuild(t):
    image = t.image(size=40 * MIB)
    image.write(b'x', 4 * OBJ)
    image.close()
    t.cli('object-map', 'check', '--no-progress', t.name)
    t.cli('object-map', 'rebuild', '--no-progress', t.name)
    t.eq(objects(t, t.open()), [4])


def break_map(t, image):
    """Leaves the map's object with nonsense in it."""
    number = image.id()
    image.close()
    t.io.write_full('rbd_object_map.' + number, b'nonsense')


@case()
def map_damaged(t):
    """A map that cannot be read is marked and not believed."""
    image = t.image(size=40 * MIB)
    image.write(b'x', 4 * OBJ)
    break_map(t, image)
    image = t.open()
    image.write(b'y', 0)
    t.eq(image.flags(), rbd.RBD_FLAG_OBJECT_MAP_INVALID | rbd.RBD_FLAG_FAST_DIFF_INVALID)
    t.eq(image.read(4 * OBJ, 1), b'x')
    t.eq(t.json('info', t.name)['flags'], ['object map invalid', 'fast diff invalid'])


@case()
def map_damaged_and_rebuilt(t):
    image = t.image(size=40 * MIB)
    image.write(b'x', 4 * OBJ)
    break_map(t, image)
    image = t.open()
    image.write(b'y', 0)
    image.rebuild_object_map()
    t.eq(image.flags(), 0)
    image.close()
    t.ok({0, 4} <= set(objects(t, t.open())))


@case()
def map_damaged_found_by_check(t):
    image = t.image(size=40 * MIB)
    image.write(b'x', 4 * OBJ)
    prefix = image.block_name_prefix()
    image.close()
    t.io.write_full(prefix + '.' + '7'.zfill(16), b'unknown')
    t.cli('object-map', 'check', '--no-progress', t.name)
    t.eq(t.open(read_only=True).flags(), rbd.RBD_FLAG_OBJECT_MAP_INVALID |
         rbd.RBD_FLAG_FAST_DIFF_INVALID)


@case()
def map_of_a_plain_image(t):
    t.errno(22, t.image(features=LAYERING).rebuild_object_map)


@case()
def map_turned_on_is_to_be_rebuilt(t):
    image = t.image(features=LAYERING | LOCK)
    image.write(b'x', OBJ)
    image.update_features(MAP | FAST, True)
    t.eq(image.flags(), rbd.RBD_FLAG_OBJECT_MAP_INVALID | rbd.RBD_FLAG_FAST_DIFF_INVALID)
    image.rebuild_object_map()
    t.eq((image.flags(), objects(t, image)), (0, [1]))


@case()
def map_grows_and_shrinks(t):
    image = t.image(size=OBJ)
    image.resize(100 * OBJ)
    image.write(b'x', 99 * OBJ)
    t.eq(objects(t, image), [99])
    image.resize(50 * OBJ)
    image.resize(100 * OBJ)
    t.eq(objects(t, image), [])
    image.close()
    t.cli('object-map', 'check', '--no-progress', t.name)


@case()
def map_of_many_objects(t):
    image = t.image(size=100000 * OBJ)
    for i in (0, 16383, 16384, 65535, 99999):
        image.write(b'x', i * OBJ)
    t.eq(objects(t, image), [0, 16383, 16384, 65535, 99999])
    image.close()
    t.eq(t.json('du', t.name)['images'][0]['used_size'], 5 * OBJ)
