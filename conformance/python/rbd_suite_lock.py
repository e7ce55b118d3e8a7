"""Exclusive locks that librbd manages, advisory locks, watchers, owners that died."""
import signal
import subprocess
import sys

import rbd

from rbd_frame import MIB, case

EXCLUSIVE, SHARED = rbd.RBD_LOCK_MODE_EXCLUSIVE, rbd.RBD_LOCK_MODE_SHARED
PLAIN = rbd.RBD_FEATURE_LAYERING

OWNER = '''
import os, sys, rados, rbd
c = rados.Rados(conffile=''); c.conf_read_file(); c.connect(timeout=30)
io = c.open_ioctx(sys.argv[1])
image = rbd.Image(io, sys.argv[2])
exec(sys.argv[3])
print(c.get_instance_id(), flush=True)
sys.stdin.readline()
try:
    exec(sys.argv[4])
    print(0, flush=True)
except rbd.OSError as e:
    print(e.errno, flush=True)
os._exit(0)
'''


def owner(t, code, later='pass', **options):
    """A process that has the image open and has run the code; with a line of input it runs the
    rest and prints how that went. It is stopped at the end."""
    t.create(**options)
    p = subprocess.Popen([sys.executable, '-c', OWNER, t.pool, t.name, code, later],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    t.stack.callback(p.stdout.close)
    t.stack.callback(p.stdin.close)
    t.stack.callback(p.wait)
    t.stack.callback(p.kill)
    t.ok(p.stdout.readline(), 'the owner did not start')
    return p


@case()
def taken_by_a_write(t):
    image = t.image()
    t.eq(image.is_exclusive_lock_owner(), False)
    image.write(b'x', 0)
    t.eq(image.is_exclusive_lock_owner(), True)
    t.eq([o['mode'] for o in image.lock_get_owners()], [EXCLUSIVE])


@case()
def not_taken_by_a_read(t):
    image = t.image()
    image.read(0, 10)
    t.eq(image.is_exclusive_lock_owner(), False)
    t.eq(list(image.lock_get_owners()), [])


@case()
def moves_to_who_writes(t):
    a, b = t.image(), t.open()
    for i in range(5):
        for image, byte in ((a, b'a'), (b, b'b')):
            image.write(byte, i)
            t.ok(image.is_exclusive_lock_owner())
            t.eq(image.read(i, 1), byte)
    t.eq(a.is_exclusive_lock_owner(), False)


@case()
def moves_between_clients(t):
    a = t.image()
    b = t.open(io=t.ioctx(cluster=t.client()))
    a.write(b'a', 0)
    b.write(b'b', 1)
    t.eq((a.is_exclusive_lock_owner(), b.is_exclusive_lock_owner()), (False, True))
    a.write(b'c', 2)
    t.eq(a.read(0, 3), b'abc')
    t.eq(b.read(0, 3), b'abc')


@case()
def acquired_and_released(t):
    image = t.image()
    image.lock_acquire(EXCLUSIVE)
    t.eq(image.is_exclusive_lock_owner(), True)
    image.lock_release()
    t.eq(image.is_exclusive_lock_owner(), False)
    t.eq(list(image.lock_get_owners()), [])


@case()
def acquired_does_not_move(t):
    """Who asked for the lock by name keeps it; others cannot write."""
    a = t.image()
    a.lock_acquire(EXCLUSIVE)
    b = t.open()
    t.errno(30, b.lock_acquire, EXCLUSIVE)
    t.errno(30, b.write, b'x', 0)
    a.lock_release()
    b.lock_acquire(EXCLUSIVE)
    b.write(b'x', 0)


@case()
def acquire_shared(t):
    """The managed lock has no shared mode."""
    t.errno(95, t.image().lock_acquire, SHARED)


@case()
def acquire_without_feature(t):
    t.errno(22, t.image(features=PLAIN).lock_acquire, EXCLUSIVE)


@case()
def release_of_none(t):
    t.errno(22, t.image().lock_release)


@case()
def released_on_close(t):
    image = t.image()
    image.write(b'x', 0)
    image.close()
    t.eq(list(t.open().lock_get_owners()), [])


@case()
def broken(t):
    """The owner whose lock is broken is blocklisted."""
    owner(t, "image.write(b'x', 0)")
    image = t.open()
    got = list(image.lock_get_owners())
    t.eq([o['mode'] for o in got], [EXCLUSIVE])
    image.lock_break(EXCLUSIVE, got[0]['owner'])
    t.eq(list(image.lock_get_owners()), [])
    image.write(b'y', 1)
    t.eq(image.read(0, 2), b'xy')


@case()
def break_of_another(t):
    image, other = t.image(), t.open()
    image.write(b'x', 0)
    t.errno(16, other.lock_break, EXCLUSIVE, 'auto 99')


@case()
def break_of_none(t):
    t.errno(2, t.image().lock_break, EXCLUSIVE, 'auto 99')


@case()
def break_shared(t):
    t.errno(95, t.image().lock_break, SHARED, 'x')


@case()
def dead_owner_is_fenced(t):
    """The next writer takes the lock of an owner that was killed, and that owner's address can
    write no more."""
    p = owner(t, "image.write(b'x', 0)")
    p.send_signal(signal.SIGKILL)
    p.wait()
    image = t.open()
    image.write(b'y', 1)
    t.eq((image.read(0, 2), image.is_exclusive_lock_owner()), (b'xy', True))


@case()
def stopped_owner_is_fenced(t):
    """An owner that is frozen and comes back gets an error for its writes."""
    p = owner(t, "image.write(b'x', 0)", "image.write(b'late', 0); image.flush()")
    image = t.open()
    number = next(iter(image.lock_get_owners()))['owner']
    p.send_signal(signal.SIGSTOP)
    image.lock_break(EXCLUSIVE, number)
    image.write(b'mine', 0)
    p.send_signal(signal.SIGCONT)
    p.stdin.write(b'\n')
    p.stdin.flush()
    t.eq(p.stdout.readline(), b'108\n')
    t.eq(image.read(0, 4), b'mine')


@case()
def snapshot_and_resize_through_the_owner(t):
    """Requests go to the owner, in another process."""
    owner(t, "image.write(b'x', 0)")
    image = t.open()
    image.resize(16 * MIB)
    image.update_features(rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF, False)
    t.eq((image.size(), image.is_exclusive_lock_owner()), (16 * MIB, False))


@case()
def rebuild_through_the_owner(t):
    owner(t, "image.write(b'x', 0)")
    image = t.open()
    image.rebuild_object_map()
    t.eq((image.flags(), image.is_exclusive_lock_owner()), (0, False))


@case()
def sparsify_through_the_owner(t):
    owner(t, "image.write(bytes(65536), 0)")
    image = t.open()
    image.sparsify(4096)
    t.eq(image.is_exclusive_lock_owner(), False)


@case()
def watchers(t):
    image = t.image()
    rows = list(image.watchers_list())
    t.eq(len(rows), 1)
    t.has(rows[0]['addr'], '127.0.0.1:')
    t.eq(rows[0]['id'], t.cluster.get_instance_id())
    t.open()
    t.eq(len(list(image.watchers_list())), 2)
    t.open(read_only=True)
    t.eq(len(list(image.watchers_list())), 2)


@case()
def watchers_by_command(t):
    image = t.image()
    rows = t.json('status', t.name)['watchers']
    t.eq([r['client'] for r in rows], [t.cluster.get_instance_id()])
    t.has(t.cli('status', t.name), 'Watchers:\n\twatcher=127.0.0.1:',
          f' client.{t.cluster.get_instance_id()} cookie=')
    image.close()
    t.eq(t.cli('status', t.name), 'Watchers: none\n')


@case()
def watch_by_command(t):
    """`rbd watch` hears of a change."""
    t.create()
    p = subprocess.Popen(['rbd', '-p', t.pool, 'watch', t.name], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
    t.stack.callback(p.wait)
    t.stack.callback(p.kill)
    image = t.open(read_only=True)
    t.until(lambda: list(image.watchers_list()), 'rbd watch watches')
    t.open().resize(16 * MIB)
    p.stdin.write('\n')
    p.stdin.close()
    t.has(p.stdout.read(), 'received notification', 'notify_op=HeaderUpdate')
    p.stdout.close()


# Advisory locks, which only those obey that ask for them.

@case()
def advisory_exclusive(t):
    image = t.image()
    image.lock_exclusive('mine')
    t.errno(17, image.lock_exclusive, 'mine')
    t.errno(16, image.lock_exclusive, 'other')
    got = image.list_lockers()
    t.eq((got['exclusive'], got['tag'], [x[1] for x in got['lockers']]), (True, '', ['mine']))
    t.has(got['lockers'][0][2], '127.0.0.1:0/')
    image.unlock('mine')
    t.eq(list(image.list_lockers()), [])


@case()
def advisory_exclusive_of_another(t):
    t.image().lock_exclusive('mine')
    other = t.open(io=t.ioctx(cluster=t.client()))
    t.errno(16, other.lock_exclusive, 'mine')
    t.errno(16, other.lock_shared, 'mine', 'tag')
    t.errno(2, other.unlock, 'mine')


@case()
def advisory_shared(t):
    image = t.image()
    image.lock_shared('a', 'tag')
    image.lock_shared('b', 'tag')
    other = t.open(io=t.ioctx(cluster=t.client()))
    other.lock_shared('a', 'tag')
    t.errno(16, other.lock_shared, 'c', 'another tag')
    t.errno(16, other.lock_exclusive, 'd')
    got = image.list_lockers()
    t.eq((got['exclusive'], got['tag'], sorted(x[1] for x in got['lockers'])),
         (False, 'tag', ['a', 'a', 'b']))


@case()
def advisory_unlock_of_none(t):
    image = t.image()
    t.errno(2, image.unlock, 'nope')
    t.eq(list(image.list_lockers()), [])


@case()
def advisory_broken(t):
    p = owner(t, "image.lock_exclusive('theirs')")
    image = t.open()
    client = image.list_lockers()['lockers'][0][0]
    image.break_lock(client, 'theirs')
    image.lock_exclusive('mine')
    p.kill()


@case()
def advisory_break_of_another(t):
    image = t.image()
    image.lock_exclusive('mine')
    t.errno(2, image.break_lock, 'client.1', 'mine')
    t.errno(22, image.break_lock, 'nonsense', 'mine')


@case()
def advisory_and_io(t):
    """They do not keep others from writing."""
    t.image(features=PLAIN).lock_exclusive('mine')
    other = t.open(io=t.ioctx(cluster=t.client()))
    other.write(b'x', 0)
    t.eq(other.read(0, 1), b'x')


@case()
def advisory_by_command(t):
    t.create(features=PLAIN)
    t.cli('lock', 'add', t.name, 'mine', '--shared', 'tag')
    t.cli('lock', 'add', t.name, 'other', '--shared', 'tag')
    rows = t.json('lock', 'ls', t.name)
    t.eq(sorted(r['id'] for r in rows), ['mine', 'other'])
    t.has(t.cli('lock', 'ls', t.name), 'There are 2 shared locks on this image.',
          'Lock tag: tag\n', 'Locker', 'Address')
    for r in rows:
        t.cli('lock', 'rm', t.name, r['id'], r['locker'])
    t.eq(t.json('lock', 'ls', t.name), [])


@case()
def advisory_held_by_command(t):
    t.create(features=PLAIN)
    t.cli('lock', 'add', t.name, 'mine')
    t.cli('lock', 'add', t.name, 'mine', code=16, says='lock is already held by someone else')
    t.cli('lock', 'rm', t.name, 'mine', 'client.1', code=2)
    t.has(t.cli('lock', 'ls', t.name), 'There is 1 exclusive lock on this image.')


@case()
def owner_is_told_by_its_cookie(t):
    t.image().write(b'x', 0)
    got = t.open().list_lockers()
    t.eq((got['exclusive'], got['tag']), (True, 'internal'))
    t.has(got['lockers'][0][1], 'auto ')
    t.eq(got['lockers'][0][0], f'client.{t.cluster.get_instance_id()}')


@case()
def lock_survives_renewed_watch(t):
    image = t.image()
    image.write(b'x', 0)
    for _ in range(3):
        image.invalidate_cache()
        image.write(b'y', 1)
    t.eq(image.is_exclusive_lock_owner(), True)
