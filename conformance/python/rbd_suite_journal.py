"""Journals of images: that they record, and what tools read from them."""
import rbd

from rbd_frame import MIB, case, pattern
from rbd_suite_lock import owner

FEATURES = 61 | rbd.RBD_FEATURE_JOURNALING


def journaled(t, **options):
    return t.image(features=FEATURES, **options)


def crashed(t, code):
    """A process that has the image open and runs the code is killed."""
    p = owner(t, code, features=FEATURES)
    p.kill()
    p.wait()


def run(t, verb, *words, **options):
    return t.cli('journal', verb, '--pool', t.pool, '--image', t.name, *words, raw=True, **options)


@case()
def turned_on_and_off(t):
    image = t.image()
    number = image.id()
    image.update_features(rbd.RBD_FEATURE_JOURNALING, True)
    t.ok('journal.' + number in {o.key for o in t.io.list_objects()})
    image.write(b'x', 0)
    image.update_features(rbd.RBD_FEATURE_JOURNALING, False)
    t.ok('journal.' + number not in {o.key for o in t.io.list_objects()})
    t.eq(image.read(0, 1), b'x')


@case()
def records(t):
    """What was written is in the journal's objects before it is in the image."""
    image = journaled(t)
    image.write(b'needle in a journal', 0)
    image.flush()
    found = [o.key for o in t.io.list_objects() if o.key.startswith('journal_data.')
             and image.id() in o.key and b'needle in a journal' in t.io.read(o.key, 1 << 22)]
    t.eq(len(found), 1)


@case()
def info(t):
    journaled(t).close()
    got = t.json('journal', 'info', '--pool', t.pool, '--image', t.name, raw=True)
    number = t.open(read_only=True).id()
    t.eq(got, {'journal_id': number, 'header_oid': 'journal.' + number, 'order': 24,
               'object_oid_prefix': f'journal_data.{t.io.get_pool_id()}.{number}.',
               'splay_width': 4})


@case()
def status(t):
    image = journaled(t)
    image.write(b'x', 0)
    image.flush()
    got = t.json('journal', 'status', '--pool', t.pool, '--image', t.name, raw=True)
    t.eq((got['minimum_set'], got['active_set']), (0, 0))
    t.eq([c['id'] for c in got['registered_clients']], [''])
    t.eq(got['registered_clients'][0]['state'], 'connected')


@case()
def inspect(t):
    """Entries that are not in the image yet are inspected."""
    crashed(t, """
for i in range(20):
    image.write(bytes([i]) * 5000, i * 10000)
image.flush()""")
    t.has(run(t, 'inspect'), '21 entries inspected, 0 errors')


@case()
def inspect_of_what_is_in_the_image(t):
    image = journaled(t)
    image.write(b'x', 0)
    image.close()
    t.has(run(t, 'inspect'), ' 0 entries inspected, 0 errors')


@case()
def inspect_verbose(t):
    crashed(t, """
image.write(b'x' * 512, 0)
image.discard(1 << 20, 1 << 20)
image.flush()""")
    t.has(run(t, 'inspect', '--verbose'), 'AioWrite', 'AioDiscard', 'AioFlush')


@case()
def export_and_import(t):
    """Replayed on another image a journal gives the same content."""
    crashed(t, """
import random
image.write(random.Random(1).randbytes(300000), 12345)
image.discard(65536, 65536)
image.flush()""")
    out = t.tmp()
    run(t, 'export', '--path', out)
    want = bytearray(8 * MIB)
    want[12345:312345] = pattern(300000)
    want[65536:131072] = bytes(65536)
    t.create(t.name + '_to', features=FEATURES)
    t.cli('journal', 'import', '--dest-pool', t.pool, '--dest', t.name + '_to', '--path', out,
          raw=True)
    t.ok(t.open(t.name + '_to').read(0, 8 * MIB) == want)


@case()
def reset(t):
    image = journaled(t)
    image.write(b'x', 0)
    image.close()
    run(t, 'reset')
    image = t.open()
    image.write(b'y', 1)
    t.eq(image.read(0, 2), b'xy')


@case()
def missing(t):
    t.create()
    t.cli('journal', 'status', '--pool', t.pool, '--image', t.name, code=22, raw=True,
          says='journaling is not enabled')


@case()
def replayed_after_a_crash(t):
    """Writes of a process that was killed are there when the image is opened again."""
    crashed(t, "image.write(b'journaled', 4096); image.flush()")
    image = t.open()
    image.write(b'next', 0)
    t.eq(image.read(4096, 9), b'journaled')
    t.has(run(t, 'status'), 'connected')


@case()
def trimmed(t):
    """What is in the image leaves the journal: its sets move on."""
    t.create(features=FEATURES)
    t.cli('feature', 'disable', t.name, 'journaling')
    t.cli('feature', 'enable', t.name, 'journaling', '--journal-object-size', '64K',
          '--journal-splay-width', '2')
    image = t.open()
    for i in range(60):
        image.write(pattern(60000, i), i * 65536)
        image.flush()

    def moved():
        got = t.json('journal', 'status', '--pool', t.pool, '--image', t.name, raw=True)
        return got['active_set'] > 5 and got['minimum_set'] > 0
    t.until(moved, 'old sets are gone')


@case()
def journal_pool(t):
    t.cli('create', '--size', '8M', '--image-feature', 'exclusive-lock,journaling',
          '--journal-pool', 'rbdsuite2', t.name)
    image = t.open()
    image.write(b'elsewhere', 0)
    image.flush()
    io = t.ioctx('rbdsuite2')
    t.ok(any(image.id() in o.key for o in io.list_objects() if o.key.startswith('journal_data')))


@case()
def client_disconnect(t):
    """Only a client of another cluster can be disconnected."""
    journaled(t).close()
    t.cli('journal', 'client', 'disconnect', '--pool', t.pool, '--image', t.name, raw=True,
          code=2, says='no registered clients to disconnect')


@case()
def removed_with_the_image(t):
    image = journaled(t)
    image.write(b'x', 0)
    number = image.id()
    image.close()
    t.rbd.remove(t.io, t.name)
    t.eq([o.key for o in t.io.list_objects() if number in o.key], [])
