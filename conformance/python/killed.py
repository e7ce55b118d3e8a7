"""Stock clients that are killed in the middle of writes, discards and snapshots: the next one gets
the lock, what was flushed is there, and no object map says that an object is absent which exists.

usage: killed.py POOL IMAGES ROUNDS SEED
"""
import concurrent.futures
import contextlib
import itertools
import json
import random
import re
import subprocess
import sys
import time
import unittest

import rados
import rbd

ORDER, OBJECTS = 16, 256  # small objects: the map changes often
SIZE = 1 << ORDER
FEATURES = (rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK |
            rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF)
# What a killed client had still to mark: what is removed (2) as absent (0), or as there after all
# (1), and what is as in the last snapshot (3).
BEFORE = 'marked as (1, but should be 3|2, but should be [013])$'
INVALID = rbd.RBD_FLAG_OBJECT_MAP_INVALID | rbd.RBD_FLAG_FAST_DIFF_INVALID
SNAPS = 3
HEAD = 2**64 - 2


def connect(cached=True):
    cluster = rados.Rados(conffile='')
    cluster.conf_set('rbd_cache', str(cached).lower())
    cluster.connect(timeout=30)
    return cluster


@contextlib.contextmanager
def opened(name, **options):
    """An image, by a client of its own."""
    cluster = connect()
    try:
        with cluster.open_ioctx(POOL) as io, rbd.Image(io, name, **options) as image:
            yield io, image
    finally:
        cluster.shutdown()


def work(pool, name, seed):
    """The client that is killed. It says what is done, and of a snapshot's removal when it begins.
    The first object has how often it has flushed; others are written and removed by chance."""
    rng = random.Random(seed)
    cluster = connect(cached=seed % 2 == 0)
    image = rbd.Image(cluster.open_ioctx(pool), name)

    def say(*words):
        print(*words, flush=True)

    say('address', cluster.get_addrs())
    first = int.from_bytes(image.read(0, 8), 'big') + 1
    for n in itertools.count(first):
        under_way = []
        for _ in range(rng.randint(4, 24)):
            at, count = rng.randrange(1, OBJECTS), rng.randint(1, 4)
            if rng.random() < 0.4:
                length = min(count, OBJECTS - at) * SIZE
                under_way.append(image.aio_discard(at * SIZE, length, lambda _: None))
            else:
                data = rng.randbytes(rng.randint(1, SIZE))
                under_way.append(image.aio_write(data, at * SIZE, lambda _: None))
        for c in under_way:
            c.wait_for_complete_and_cb()
        image.write(n.to_bytes(8, 'big'), 0)
        image.flush()
        say('flushed', n)
        if n % 3 == 0:
            image.create_snap(f's{n}')
            say('made', f's{n}')
            snaps = sorted(s['name'] for s in image.list_snaps())
            for s in snaps[:-SNAPS]:
                say('removes', s)
                image.remove_snap(s)


class Owner:
    """A client with an image, and what it has said."""

    def __init__(self, name, seed):
        self.flushed, self.made, self.touched, self.address = 0, set(), set(), ''
        self.process = subprocess.Popen(
            [sys.executable, __file__, 'work', POOL, name, str(seed)], stdout=subprocess.PIPE,
            text=True)
        while not self.flushed:
            self.hear(self.process.stdout.readline())

    def hear(self, line):
        if not line:
            raise AssertionError('the client ended before it was killed')
        what, value = line.split()
        if what == 'flushed':
            self.flushed = int(value)
        elif what == 'made':
            self.made.add(value)
        elif what == 'removes':
            self.touched.add(value)
        else:
            self.address = value

    def kill(self):
        self.process.kill()
        for line in self.process.stdout:
            if line.endswith('\n'):
                self.hear(line)
        self.process.wait()
        self.process.stdout.close()


def tool(*words):
    run = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    if run.returncode:
        raise AssertionError(f'{" ".join(words)}: exit code {run.returncode}: {run.stderr}')
    return run


def differing(image, since, whole):
    """The objects that differ: all that the map says (whole), or those that the OSDs tell."""
    found = set()
    image.diff_iterate(0, image.size(), since, lambda at, length, _: found.update(
        range(at >> ORDER, (at + length - 1 >> ORDER) + 1)), whole_object=whole)
    return found


def existing(io, image, snap):
    """The objects that the pool has, asked one by one."""
    io.set_read(snap)
    prefix = image.stat()['block_name_prefix']
    found, under_way = set(), []
    for n in range(OBJECTS):
        def got(_, size, __, n=n):
            if size is not None:
                found.add(n)
        under_way.append(io.aio_stat(f'{prefix}.{n:016x}', got))
    for c in under_way:
        c.wait_for_complete_and_cb()
    return found


class Killed(unittest.TestCase):
    def taken(self, name, owner):
        """Another client gets the lock."""
        with opened(name) as (_, image):
            image.write(b'next', 8)
            self.assertTrue(image.is_exclusive_lock_owner())
            self.assertGreaterEqual(int.from_bytes(image.read(0, 8), 'big'), owner.flushed)
        shut_out = tool('ceph', 'osd', 'blocklist', 'ls').stdout
        plain = owner.address.split(':', 1)[1] if owner.address[0] == 'v' else owner.address
        self.assertIn(plain, shut_out)

    def exact(self, name, at, snap, since, there=True):
        """Whether the map of the image, or of a snapshot, is exact. One that is not, leaves out no
        object and nothing that has changed, or it was not made yet (there) and says so."""
        spec = f'{POOL}/{name}' + (f'@{at}' if at else '')
        with opened(name, read_only=True) as (io, image):
            if at:
                image.set_snap(at)
            if image.flags() & INVALID:
                self.assertFalse(there, f'{spec}: the map is invalid')
                return False
            for s in [None, *since]:
                missed = differing(image, s, False) - differing(image, s, True)
                self.assertEqual(missed, set(), f'{spec} since {s}')
            here = existing(io, image, snap)
            self.assertIn(0, here)
            self.assertEqual(here - differing(image, None, True), set(), spec)
        wrong = re.findall('object map error: .*', tool(
            'rbd', 'object-map', 'check', '--no-progress', spec).stderr)
        self.assertEqual([w for w in wrong if not re.search(BEFORE, w)], [], spec)
        with opened(name, read_only=True) as (_, image):
            if at:
                image.set_snap(at)
            self.assertEqual(bool(image.flags() & INVALID), bool(wrong), spec)
        return not wrong

    def image(self, name, owner):
        """What a killed client left; how many maps were looked at, and were exact."""
        self.taken(name, owner)
        snaps = []
        with opened(name, read_only=True) as (_, image):
            listed = list(image.list_snaps())
        for s in listed:
            if s['namespace'] == rbd.RBD_SNAP_NAMESPACE_TYPE_TRASH:  # its removal had begun
                tool('rbd', '-p', POOL, 'snap', 'rm', '--image', name, '--snap-id', str(s['id']))
            else:
                snaps.append((s['name'], s['id']))
        sound, exact = [], 0
        for s, number in [*snaps, (None, HEAD)]:
            # The map of a snapshot is made after the snapshot, and removed before it.
            there = not s or s in self.made[name] and s not in owner.touched
            if self.exact(name, s, number, sound, there):
                exact += 1
            else:
                tool('rbd', 'object-map', 'rebuild', '--no-progress',
                     f'{POOL}/{name}' + (f'@{s}' if s else ''))
                self.assertTrue(self.exact(name, s, number, sound), f'{name}@{s} when rebuilt')
            sound.append(s)
        return len(snaps) + 1, exact

    def test_maps(self):
        rng = random.Random(SEED)
        names = [f'killed{i}' for i in range(IMAGES)]
        self.made = {n: set() for n in names}
        cluster = connect()
        with cluster.open_ioctx(POOL) as io:
            for n in names:
                rbd.RBD().create(io, n, OBJECTS * SIZE, ORDER, old_format=False,
                                 features=FEATURES)
        cluster.shutdown()
        looked = exact = flushed = 0
        with concurrent.futures.ThreadPoolExecutor(IMAGES) as each:
            for _ in range(ROUNDS):
                seeds = [rng.randrange(1 << 30) for _ in names]
                owners = list(each.map(Owner, names, seeds))
                for o in owners:
                    time.sleep(rng.random() / 3)  # it dies at any moment of what it does
                    o.kill()
                for n, o in zip(names, owners):
                    self.made[n] |= o.made
                    flushed += o.flushed
                for a, b in each.map(self.image, names, owners):
                    looked, exact = looked + a, exact + b
        print(f'{ROUNDS * IMAGES} clients killed after {flushed} flushes, {looked} maps, '
              f'{exact} exact', flush=True)
        for n in names:
            tool('rbd', '-p', POOL, 'snap', 'purge', '--no-progress', n)
            tool('rbd', '-p', POOL, 'rm', '--no-progress', n)


if sys.argv[1] == 'work':
    work(sys.argv[2], sys.argv[3], int(sys.argv[4]))
else:
    POOL, IMAGES, ROUNDS, SEED = sys.argv[1], *map(int, sys.argv[2:5])
    unittest.main(argv=sys.argv[:1], verbosity=2)
