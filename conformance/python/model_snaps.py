"""Objects of which snapshots are taken, read, rolled back to, listed and removed."""
import json
import subprocess
import time

from model_base import POOL, POOLED, Violation, answered, count
from model_objects import Owner

MOST = 5  # snapshots at a time


class Snapped(Owner):
    """Manages snapshots of its objects itself. One that is taken between two operations that are
    under way holds what is between them."""

    def __init__(self, number):
        super().__init__(number)
        self.snaps, self.at = [], {}  # ids, newest first; what objects were then
        # Operations of one client on one object keep their order, of two they do not.
        self.back, self.afar = [c.open_ioctx(self.pool) for c in self.clients]

    # How snapshots are taken, removed and rolled back to.

    def create(self):
        return self.io.create_self_managed_snap()

    def remove(self, snap):
        self.io.remove_self_managed_snap(snap)

    def roll(self, name, snap):
        self.io.rollback_self_managed_snap(name, snap)

    def use(self):
        self.io.set_self_managed_snap_write(self.snaps)

    def prepare(self):
        super().prepare()
        self.take()

    def take(self):
        self.doing = 'taking a snapshot'
        snap = self.create()
        if self.snaps and snap <= self.snaps[0]:
            raise Violation('snapshot %d after %d' % (snap, self.snaps[0]))
        self.snaps.insert(0, snap)
        self.use()
        self.at[snap] = {n: m.copy() for n, m in self.models.items()}
        count('snapshots')

    def drop(self, snap):
        self.doing = 'removing snapshot %d' % snap
        self.snaps.remove(snap)
        del self.at[snap]
        self.use()
        self.remove(snap)
        count('removed')

    def rollback(self, name, snap):
        self.doing, begun = '%s rolled back to %d' % (name, snap), time.monotonic()
        m = self.models[name]
        m.restore(self.at[snap][name])
        m.changed()
        self.roll(name, snap)
        answered(begun, self.pool, name)
        count('rollbacks')

    def ahead(self, name):
        r = self.random.random()
        if r < 0.03 and self.snaps:
            self.rollback(name, self.random.choice(self.snaps))
        elif r < 0.15 and self.snaps:
            snap = self.random.choice(self.snaps)
            self.back.set_read(snap)
            return self.read_from(self.back, '%s' % name, [self.at[snap][name].state()])
        return super().ahead(name)

    def work(self):
        r = self.random.random()
        if r < 0.03 and len(self.snaps) < MOST:
            self.take()
        elif r < 0.05 and len(self.snaps) > 1:
            self.drop(self.random.choice(self.snaps))
        elif r < 0.15 and self.snaps:
            self.compare_at(self.random.choice(self.names), self.random.choice(self.snaps))
        elif r < 0.16:
            self.list(self.random.choice(self.names))
        super().work()

    def compare_at(self, name, snap):
        self.doing = name
        self.afar.set_read(snap)
        self.compare(name, self.afar, self.at[snap][name], ' at %d' % snap)

    def list(self, name):
        """Asks for the clones of an object. Those of removed snapshots may be there for a while."""
        self.doing = name
        text = subprocess.run(['rados', '-p', self.pool, 'listsnaps', name, '--format=json'],
                              capture_output=True, text=True)
        if text.returncode:
            if 'No such file' not in text.stderr:
                raise Violation('listsnaps %s: %s' % (name, text.stderr))
            clones = []
        else:
            clones = json.loads(text.stdout)['clones']
        head = self.models[name]
        states, seen = [], set()
        for c in clones:
            if c['id'] == 'head':
                states.append((c, head))
                continue
            for s in c['snapshots']:
                if s['id'] in seen:
                    raise Violation('%s at %d is in two clones: %s' % (name, s['id'], clones))
                seen.add(s['id'])
            live = [self.at[s['id']][name] for s in c['snapshots'] if s['id'] in self.at]
            states.append((c, live[0] if live else None))
            for m in live:
                if m.data is None or len(m.data) != c['size']:
                    raise Violation('%s: clone %s should be %s: %s' % (name, c['id'], m.data and
                                                                       len(m.data), clones))
        for snap in self.snaps:
            was = self.at[snap][name]
            if snap not in seen and was.data is not None and (
                    head.data is None or (was.data, was.attrs, was.omap) !=
                    (head.data, head.attrs, head.omap)):
                raise Violation('%s has no clone for %d: %s' % (name, snap, clones))
        self.overlaps(name, states)
        count('listed')

    def overlaps(self, name, states):
        """What two clones that follow each other are said to share has to be the same."""
        for (c, m), (_, after) in zip(states, states[1:]):
            if m is None or after is None or after.data is None:
                continue
            for e in c['overlaps']:
                a, b = e['start'], e['start'] + e['length']
                if b > c['size'] or m.data[a:b] != after.data[a:b]:
                    raise Violation('%s: clone %s does not share %d to %d with the next one' %
                                    (name, c['id'], a, b))

    def end(self):
        super().end()
        for name in self.names:
            self.list(name)
            for snap in self.snaps:
                self.compare_at(name, snap)
        for snap in list(self.snaps):
            self.drop(snap)


class PoolSnapped(Snapped):
    """Uses snapshots of its pool, which count for an operation when the OSD comes to do it."""
    pool = POOLED or POOL

    def create(self):
        self.names_of = getattr(self, 'names_of', {})
        name = 'model-%d-%d' % (len(self.names_of), time.time_ns())
        self.io.create_snap(name)
        snap = self.io.lookup_snap(name).snap_id
        self.names_of[snap] = name
        return snap

    def remove(self, snap):
        self.io.remove_snap(self.names_of[snap])

    def roll(self, name, snap):
        self.io.snap_rollback(name, self.names_of[snap])

    def use(self):
        pass
