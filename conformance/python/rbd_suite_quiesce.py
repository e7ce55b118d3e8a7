"""Snapshots for which the clients of an image become quiet."""
import ctypes
import json
import threading
import time

import rbd

from rbd_frame import MIB, C, case
from rbd_suite_mgr import mirrored_pool

REFUSES = -22


class Watcher:
    """A client that becomes quiet when it is asked, after a while and with a result, and says how
    often it was. What it writes then is in the snapshot."""

    def __init__(self, t, name=None, seconds=0.0, result=0, writes=b''):
        self.c = C(t, name)
        if writes:  # as what is used does it holds the lock
            self.write(b'used before')
        self.seconds, self.result, self.writes = seconds, result, writes
        self.heard = []
        self.handle = ctypes.c_uint64()
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        self.callbacks = kind(self.quiesce), kind(lambda _: self.heard.append('unquiesce'))
        t.eq(self.c.quiesce_watch(*self.callbacks, None, ctypes.byref(self.handle)), 0)
        t.stack.callback(self.unwatch)

    def quiesce(self, _):
        self.heard.append('quiesce')
        threading.Thread(target=self.complete).start()

    def complete(self):
        time.sleep(self.seconds)
        if self.writes:
            self.write(self.writes)
        C.lib.rbd_quiesce_complete(self.c.image, self.handle, ctypes.c_int(self.result))

    def write(self, text):
        C.lib.rbd_write.restype = ctypes.c_ssize_t
        C.must(C.lib.rbd_write(self.c.image, ctypes.c_uint64(0), ctypes.c_size_t(len(text)),
                               text))

    def unwatch(self):
        C.lib.rbd_quiesce_unwatch(self.c.image, self.handle)


def snaps(t):
    with t.open(read_only=True) as image:
        return [s['name'] for s in image.list_snaps()]


def told(t, *watchers):
    """Each became quiet once, and was told that it is over."""
    t.until(lambda: all(w.heard == ['quiesce', 'unquiesce'] for w in watchers),
            f'they heard of it: {[w.heard for w in watchers]}', 15)


@case()
def all_are_told(t):
    image = t.image()
    image.write(b'held', 100)  # its client makes the snapshot
    watchers = [Watcher(t) for _ in range(3)]
    t.cli('snap', 'create', f'{t.name}@s')
    t.eq(snaps(t), ['s'])
    told(t, *watchers)


@case()
def what_they_bring_back(t):
    """What a client writes before it says that it is quiet is in the snapshot."""
    t.create()
    watcher = Watcher(t, writes=b'brought back')
    t.cli('snap', 'create', f'{t.name}@s')
    told(t, watcher)
    t.eq(t.open(snapshot='s', read_only=True).read(0, 12), b'brought back')


@case()
def one_refuses(t):
    t.create()
    watchers = [Watcher(t), Watcher(t, result=REFUSES)]
    t.cli('snap', 'create', f'{t.name}@s', code=22)
    told(t, *watchers)
    t.eq(snaps(t), [])


@case()
def one_refuses_and_is_ignored(t):
    t.create()
    watchers = [Watcher(t), Watcher(t, result=REFUSES)]
    t.cli('snap', 'create', '--ignore-quiesce-error', f'{t.name}@s')
    told(t, *watchers)
    t.eq(snaps(t), ['s'])


@case()
def skipped(t):
    t.create()
    watcher = Watcher(t, result=REFUSES)
    t.cli('snap', 'create', '--skip-quiesce', f'{t.name}@s')
    t.eq((snaps(t), watcher.heard), (['s'], []))


@case()
def one_is_slow(t):
    """It is asked again as long as it has not answered, and becomes quiet once."""
    t.create()
    watchers = [Watcher(t), Watcher(t, seconds=7)]
    begin = time.monotonic()
    t.cli('snap', 'create', f'{t.name}@s')
    t.ok(time.monotonic() - begin > 6, 'the snapshot did not wait')
    told(t, *watchers)
    t.eq(snaps(t), ['s'])


@case()
def for_a_mirror_at_a_schedule(t):
    """The manager's snapshots for mirrors wait for clients, too."""
    with mirrored_pool(t, 'rbdsuitequiet') as (pool, io):
        t.pool = pool
        t.rbd.create(io, t.name, 8 * MIB, old_format=False, features=61)
        with rbd.Image(io, t.name) as image:
            image.mirror_image_enable(rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT)
            before = len(list(image.list_snaps()))
        watcher = Watcher(t, writes=b'brought back')
        def run(verb, **o):
            return json.loads(t.mgr('rbd mirror snapshot schedule ' + verb, **o) or 'null')
        run('add', level_spec=f'{pool}//{t.name}', interval='1m')
        def made():  # who only reads hears of nothing new
            with rbd.Image(io, t.name, read_only=True) as image:
                return len(list(image.list_snaps())) > before
        t.until(made, 'there is a snapshot', 150)
        told(t, watcher)
        with rbd.Image(io, t.name, read_only=True) as image:
            image.set_snap_by_id(max(s['id'] for s in image.list_snaps()))
            t.eq(image.read(0, 12), b'brought back')
        run('remove', level_spec=f'{pool}//{t.name}')
        t.stack.close()  # the image goes with its pool
