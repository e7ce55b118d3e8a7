"""Reading and writing images: edges, async calls, flags, encryption, the C library's own calls."""
import ctypes
import os
import random

import rados
import rbd

from rbd_frame import C, KIB, MIB, case, pattern

OBJ = 4 * MIB
PLAIN = rbd.RBD_FEATURE_LAYERING
KINDS = [('default', {}), ('plain', {'features': PLAIN}), ('small_objects', {'order': 16}),
         ('striped', {'features': PLAIN | rbd.RBD_FEATURE_STRIPINGV2, 'stripe_unit': 64 * KIB,
                      'stripe_count': 5}),
         ('data_pool', {'data_pool': 'rbdsuite2'}),
         ('journaled', {'features': 61 | rbd.RBD_FEATURE_JOURNALING})]
EDGES = [('first_byte', 0, 1), ('last_byte', 12 * MIB - 1, 1), ('one_object', OBJ, OBJ),
         ('end_of_object', 2 * OBJ - 7, 7), ('across_objects', OBJ - 3, 10),
         ('three_objects', 10, 12 * MIB - 20), ('odd', 12345, 54321), ('sector', 512, 512)]


@case(rows=EDGES)
def write_read(t, offset, size):
    image, data = t.image(size=12 * MIB), pattern(size)
    t.eq(image.write(data, offset), size)
    t.eq(image.read(offset, size), data)
    around = image.read(max(0, offset - 5), min(size + 10, 12 * MIB - max(0, offset - 5)))
    t.eq(around.strip(b'\0'), data.strip(b'\0'))


@case(rows=EDGES)
def discard(t, offset, size):
    image, data = t.image(size=12 * MIB), pattern(12 * MIB)
    image.write(data, 0)
    image.discard(offset, size)
    # A discard of parts of the grain (64 KiB) may leave them, but touches nothing else.
    got = image.read(0, 12 * MIB)
    t.eq(got[:offset] + got[offset + size:], data[:offset] + data[offset + size:])
    grain = 64 * KIB
    first, last = -(-offset // grain) * grain, (offset + size) // grain * grain
    if last > first:
        t.eq(got[first:last], bytes(last - first))


@case(rows=EDGES)
def write_zeroes(t, offset, size):
    image, data = t.image(size=12 * MIB), pattern(12 * MIB)
    image.write(data, 0)
    image.write_zeroes(offset, size)
    got = image.read(0, 12 * MIB)
    t.ok(got == data[:offset] + bytes(size) + data[offset + size:], 'not just the range is zero')


@case(rows=KINDS)
def random_against_model(t, options):
    """A hundred random calls; what is read is what a copy in memory says."""
    size = 3 * MIB + 512 if options.get('order') else 11 * MIB + 512
    image, rng = t.image(size=size, **options), random.Random(7)
    model = bytearray(size)
    for step in range(100):
        offset = rng.randrange(size)
        n = min(rng.choice([1, 512, 4096, 70000, 300000, MIB]), size - offset)
        what = rng.randrange(4)
        if what == 0:
            model[offset:offset + n] = data = pattern(n, step)
            image.write(data, offset)
        elif what == 1:
            model[offset:offset + n] = bytes(n)
            image.write_zeroes(offset, n)
        elif what == 2 and (first := -(-offset // 65536) * 65536) < (offset + n) // 65536 * 65536:
            last = (offset + n) // 65536 * 65536
            model[first:last] = bytes(last - first)
            image.discard(first, last - first)
        else:
            t.ok(image.read(offset, n) == model[offset:offset + n], f'step {step} at {offset}+{n}')
    image.close()
    t.ok(t.open(read_only=True).read(0, size) == model, 'read again')


@case(rows=[('read', lambda i: i.read(8 * MIB, 1)),
            ('discard', lambda i: i.discard(9 * MIB, 1)),
            ('zeroes', lambda i: i.write_zeroes(9 * MIB, 1))])
def beyond_the_end(t, call):
    image = t.image()
    try:
        t.ok(call(image) in (None, b''))
    except rbd.InvalidArgument:
        pass
    t.eq(image.read(8 * MIB - 1, 1), b'\0')


@case()
def write_over_the_end_is_refused(t):
    image = t.image()
    t.errno(22, image.write, b'x', 8 * MIB)
    t.errno(22, image.write, b'x', 1 << 62)
    t.raises(rbd.IncompleteWriteError, image.write, b'xx', 8 * MIB - 1)
    t.eq(image.read(8 * MIB - 2, 2), b'\0x')


@case()
def read_over_the_end_is_short(t):
    image = t.image()
    image.write(b'end', 8 * MIB - 3)
    t.eq(image.read(8 * MIB - 3, 100), b'end')


@case()
def empty_calls(t):
    image = t.image()
    t.eq((image.write(b'', 5), image.read(5, 0), image.discard(5, 0)), (0, b'', None))


@case()
def write_of_16m(t):
    image, data = t.image(size=24 * MIB), pattern(16 * MIB)
    image.write(data, 3 * MIB)
    t.ok(image.read(3 * MIB, 16 * MIB) == data)


@case()
def discard_removes_objects(t):
    image = t.image()
    image.write(pattern(8 * MIB), 0)
    image.flush()
    prefix = image.block_name_prefix() + '.'

    def left():
        return sorted(o.key.removeprefix(prefix) for o in t.io.list_objects()
                      if o.key.startswith(prefix))
    t.eq(left(), ['0' * 16, '0' * 15 + '1'])
    image.discard(OBJ, OBJ)
    image.flush()
    t.eq(left(), ['0' * 16])
    image.discard(64 * KIB, OBJ - 64 * KIB)
    image.flush()
    t.eq(t.io.stat(prefix + '0' * 16)[0], 64 * KIB)


@case()
def discard_of_what_is_not_there(t):
    image = t.image()
    image.discard(0, 8 * MIB)
    t.eq(t.json('diff', t.name), [])


@case(rows=[('random', 1), ('sequential', 2), ('willneed', 4), ('dontneed', 8), ('nocache', 16),
            ('fua', 128)])
def advice(t, flag):
    image = t.image()
    image.write(b'advice', 100, flag)
    t.eq(image.read(100, 6, flag), b'advice')


@case()
def write_zeroes_thick(t):
    """Thick zeroes take space."""
    image = t.image()
    image.write_zeroes(0, OBJ, rbd.RBD_WRITE_ZEROES_FLAG_THICK_PROVISION)
    image.close()
    t.eq(t.json('diff', '--whole-object', t.name),
         [{'offset': 0, 'length': OBJ, 'exists': 'true'}])


@case()
def sparsify(t):
    image = t.image()
    image.write(bytes(8 * MIB), 0)
    image.write(b'kept', 5 * MIB)
    t.eq(t.json('du', t.name)['images'][0]['used_size'], 8 * MIB)
    image.sparsify(4096)
    image.close()
    t.eq(t.json('du', t.name)['images'][0]['used_size'], OBJ)
    t.eq(t.open(read_only=True).read(5 * MIB - 1, 6), b'\0kept\0')


@case()
def sparsify_by_command(t):
    image = t.image()
    image.write(bytes(MIB) + b'x', 0)
    image.close()
    t.cli('sparsify', '--no-progress', '--sparse-size', '64K', t.name)
    t.eq(t.open(read_only=True).read(MIB, 2), b'x\0')


@case(rows=[('too_small', 1024), ('not_a_power', 5000), ('too_large', 8 * MIB)])
def sparsify_refused(t, size):
    t.errno(22, t.image().sparsify, size)


@case()
def cache_is_seen_after_flush(t):
    image = t.image(features=PLAIN)
    image.write(b'one', 0)
    image.flush()
    other = t.open(read_only=True)
    t.eq(other.read(0, 3), b'one')
    image.write(b'two', 0)
    image.flush()
    other.invalidate_cache()
    t.eq(other.read(0, 3), b'two')


@case()
def aio_write_read(t):
    image = t.image()
    data = [pattern(3000, i) for i in range(200)]
    writes = [image.aio_write(d, i * 40001, lambda c: None) for i, d in enumerate(data)]
    for w in writes:
        w.wait_for_complete_and_cb()
        t.eq(w.get_return_value(), 0)
    got = {}
    reads = [image.aio_read(i * 40001, 3000, lambda c, d, i=i: got.setdefault(i, d))
             for i in range(200)]
    for r in reads:
        r.wait_for_complete_and_cb()
    t.ok(all(got[i] == d for i, d in enumerate(data)))


@case()
def aio_discard_zeroes_flush(t):
    image = t.image()
    image.write(pattern(8 * MIB), 0)
    ops = [image.aio_discard(0, MIB, lambda c: None),
           image.aio_write_zeroes(MIB, 5, lambda c: None), image.aio_flush(lambda c: None)]
    for op in ops:
        op.wait_for_complete_and_cb()
        t.eq(op.get_return_value(), 0)
    t.eq(image.read(0, MIB + 5), bytes(MIB + 5))


@case()
def aio_read_beyond_the_end(t):
    image, got = t.image(), []
    op = image.aio_read(8 * MIB + 5, 10, lambda c, d: got.append(d))
    op.wait_for_complete_and_cb()
    t.ok(got[0] in (None, b''), got)


@case()
def aio_same_place(t):
    """Of writes to one place that are under way at the same time one is there as a whole."""
    image = t.image()
    ops = [image.aio_write(bytes([i]) * 9000, 500, lambda c: None) for i in range(1, 100)]
    for op in ops:
        op.wait_for_complete_and_cb()
    got = image.read(499, 9002)
    t.ok(got[1] and got == b'\0' + got[1:2] * 9000 + b'\0', got)


@case()
def c_writesame(t):
    t.create()
    c = C(t)
    t.eq(c.writesame(3 * MIB, 2 * MIB, b'abcd' * 128, ctypes.c_size_t(512), ctypes.c_int(0)),
         2 * MIB)
    c.flush()
    t.eq(t.open(read_only=True).read(3 * MIB - 1, 2 * MIB + 2),
         b'\0' + b'abcd' * (MIB // 2) + b'\0')


@case()
def c_writesame_odd(t):
    """The length has to be a multiple of the data's."""
    t.create()
    t.eq(C(t).writesame(0, 1000, b'abc', ctypes.c_size_t(3), ctypes.c_int(0)), -22)


@case()
def c_writesame_of_zeroes(t):
    t.image().write(pattern(8 * MIB), 0)
    c = C(t)
    t.eq(c.writesame(0, OBJ, bytes(512), ctypes.c_size_t(512), ctypes.c_int(0)), OBJ)
    c.flush()
    t.eq(t.open(read_only=True).read(0, OBJ), bytes(OBJ))


@case()
def c_compare_and_write(t):
    t.image().write(b'A' * 512, 1024)
    c, at = C(t), ctypes.c_uint64(7)
    size = ctypes.c_size_t(512)
    t.eq(c.compare_and_write(1024, size, b'A' * 512, b'B' * 512, ctypes.byref(at),
                             ctypes.c_int(0)), 512)
    t.eq(t.open(read_only=True).read(1024, 512), b'B' * 512)


@case()
def c_compare_and_write_differs(t):
    t.image().write(b'A' * 500 + b'C' * 12, 1024)
    c, at = C(t), ctypes.c_uint64(7)
    t.eq(c.compare_and_write(1024, ctypes.c_size_t(512), b'A' * 512, b'B' * 512, ctypes.byref(at),
                             ctypes.c_int(0)), -84)
    t.eq(at.value, 500)
    t.eq(t.open(read_only=True).read(1024, 4), b'AAAA')


@case()
def c_compare_and_write_of_nothing(t):
    """What was never written compares as zeroes."""
    t.create()
    c, at = C(t), ctypes.c_uint64(7)
    size, new = ctypes.c_size_t(512), pattern(512)
    t.eq(c.compare_and_write(OBJ, size, bytes(512), new, ctypes.byref(at), ctypes.c_int(0)), 512)
    t.eq(c.compare_and_write(OBJ, size, bytes(512), new, ctypes.byref(at), ctypes.c_int(0)), -84)
    t.eq(at.value, OBJ)


@case()
def c_compare_and_write_of_two_sectors(t):
    """librbd compares one sector."""
    t.create()
    t.eq(C(t).compare_and_write(0, ctypes.c_size_t(1024), bytes(1024), bytes(1024),
                                ctypes.byref(ctypes.c_uint64()), ctypes.c_int(0)), -22)


@case()
def c_read_iterate(t):
    t.image().write(b'x' * 100, OBJ)
    seen = []
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint64, ctypes.c_size_t,
                            ctypes.POINTER(ctypes.c_char), ctypes.c_void_p)

    def each(offset, size, data, _):
        seen.append((offset, size, bool(data)))
        return 0
    t.eq(C(t, read_only=True).read_iterate2(0, 8 * MIB, kind(each), None), 0)
    t.eq(sum(n for _, n, _ in seen), 8 * MIB)
    t.ok((OBJ, 100, True) in seen or (OBJ, OBJ, True) in seen, seen)


@case()
def c_poll(t):
    """A second client hears that the image was resized."""
    t.create()
    kind, heard = ctypes.CFUNCTYPE(None, ctypes.c_void_p), []
    callback = kind(lambda _: heard.append(1))
    c, handle = C(t), ctypes.c_uint64()
    t.eq(c.update_watch(ctypes.byref(handle), callback, None), 0)
    t.open().resize(16 * MIB)
    t.until(lambda: heard, 'the watcher hears of the resize')
    t.eq(c.update_unwatch(handle), 0)


@case(needs=('hour',), rows=[('luks1_aes128', 1, 128), ('luks1_aes256', 1, 256),
                            ('luks2_aes128', 2, 128)])
def encryption(t, version, bits):
    """Deriving a key from a passphrase is made to take seconds."""
    image = t.image(size=32 * MIB)
    kind = getattr(rbd, f'RBD_ENCRYPTION_FORMAT_LUKS{version}')
    image.encryption_format(kind, 'secret', getattr(rbd, f'RBD_ENCRYPTION_ALGORITHM_AES{bits}'))
    image.close()
    image = t.open()
    image.encryption_load(kind, 'secret')
    t.ok(image.size() < 32 * MIB, 'the header takes space')
    data = pattern(5 * MIB + 333)
    image.write(data, 777)
    t.eq(image.read(777, len(data)), data)
    image.close()
    raw = t.open(read_only=True)
    t.eq(raw.read(0, 6), b'LUKS\xba\xbe')
    t.ok(data[:4096] not in raw.read(0, 32 * MIB), 'stored in clear')
    raw.close()
    t.errno(1, t.open().encryption_load, kind, 'guess')


@case()
def encryption_luks2_aes256(t):
    encryption(t, 2, 256)


@case(rows=[('luks1', 1), ('luks2', 2)])
def encryption_by_command(t, version):
    """Formatted by the command line, written by librbd, read by QEMU: by its librbd, and version 1
    by its own code for LUKS."""
    t.create(size=32 * MIB)
    secret, read = t.tmp('secret'), t.tmp('read')
    with open(secret, 'w', encoding='ascii') as f:
        f.write('a phrase')
    t.cli('encryption', 'format', t.name, f'luks{version}', secret)
    kind, data = getattr(rbd, f'RBD_ENCRYPTION_FORMAT_LUKS{version}'), pattern(5 * MIB)
    with t.open() as image:
        image.encryption_load(kind, 'a phrase')
        size = image.size()
        image.write(data, 4 * MIB)
    raw = t.open(read_only=True)
    t.eq(raw.read(0, 6), b'LUKS\xba\xbe')
    prefix = raw.stat()['block_name_prefix']
    raw.close()
    stored = b''.join(t.io.read(o.key, OBJ) for o in t.io.list_objects()
                      if o.key.startswith(prefix))
    t.ok(len(stored) > len(data))
    t.ok(not any(data[at:at + 512] in stored for at in range(0, len(data), 4096)), 'in clear')
    conf = os.environ['CEPH_CONF']
    image = f'driver=rbd,pool={t.pool},image={t.name},conf={conf}'
    ways = [f'{image},encrypt.format=luks' + '2' * (version - 1) + ',encrypt.key-secret=s']
    if version == 1:
        ways.append('driver=luks,key-secret=s,' + ','.join(
            'file.' + o for o in image.split(',')))
    for way in ways:
        # Not convert, which takes holes for where they are without the header.
        t.command('qemu-img', 'dd', '--object', f'secret,id=s,file={secret}', '--image-opts',
                  '-O', 'raw', 'bs=1M', 'if=' + way, 'of=' + read)
        with open(read, 'rb') as f:
            got = f.read()
        t.eq(len(got), size, way)
        t.ok(got[4 * MIB:9 * MIB] == data, way)


@case()
def encryption_of_a_plain_image(t):
    t.errno(22, t.image(size=32 * MIB).encryption_load, rbd.RBD_ENCRYPTION_FORMAT_LUKS2, 'x')


@case(rows=[('write_seq', 'write', 'seq'), ('write_rand', 'write', 'rand'),
            ('read_seq', 'read', 'seq'), ('read_rand', 'read', 'rand'),
            ('readwrite', 'readwrite', 'rand')])
def bench(t, kind, how):
    t.create(size=32 * MIB)
    t.has(t.cli('bench', '--io-type', kind, '--io-size', '16K', '--io-total', '4M', '--io-threads',
                '8', '--io-pattern', how, t.name), 'elapsed: ', 'ops/sec')


@case()
def bench_refused(t):
    t.create(size=MIB)
    t.cli('bench', '--io-type', 'write', '--io-size', '2M', t.name, code=22)


@case()
def data_is_in_objects_of_the_prefix(t):
    image = t.image(features=PLAIN)
    image.write(b'second', OBJ + 9)
    image.flush()
    t.eq(t.io.read(image.block_name_prefix() + '.' + '1'.zfill(16)), bytes(9) + b'second')
    t.raises(rados.ObjectNotFound, t.io.stat, image.block_name_prefix() + '.' + '0' * 16)
