"""Copies of objects by OSDs (copy_from), to the same pool and another, while their source changes.
"""
import os
import time

from model_base import POOL, POOLED, Violation, answered, brief, count
from model_objects import Model, Owner
from suite.calls import Completion
from suite.librados import P, Cluster, Io, Vector, x


class Copier(Owner):
    """Sends changes of a source, a copy of it, and more changes, before it waits for any. The copy
    holds one of the states that the source had from when the first was sent until all were
    answered: its data, attributes and omap of one moment; or it was refused, and one of them is
    that there was no source."""

    def __init__(self, number):
        super().__init__(number)
        self.stock = Cluster(os.environ.get('CEPH_CONF', ''))
        if self.stock.connect() < 0:
            raise OSError('cannot connect')
        self.source = Io(self.stock, POOL)
        self.targets = [Io(self.stock, p) for p in (POOL, POOLED) if p]
        self.copies = {(i, n): Model() for i in range(len(self.targets))
                       for n in ('copy.%d.%d' % (number, j) for j in range(4))}

    def prepare(self):
        super().prepare()
        for i, name in self.copies:
            self.targets[i].remove(name)

    def work(self):
        self.doing = name = self.random.choice(self.names)
        which = self.random.choice(sorted(self.copies))
        source, states, pending = self.models[name], [], []

        def ahead(n):
            for _ in range(n):
                states.append(source.copy())
                pending.append(self.ahead(name))
        ahead(self.random.randrange(3))
        finish = self.begin(which, name)
        ahead(self.random.randrange(3))
        for p in pending:
            p.finish()
        source.reads.clear()
        self.settle(which, finish(), states + [source.copy()])

    def begin(self, which, name):
        """Starts a copy; what is returned waits for its result."""
        v, c = Vector([('copy_from', self.source, name)], True), Completion()
        sent = time.monotonic()
        x('aio_write_op_operate', P(v.op), self.targets[which[0]].h, c.h, which[1], None, 0)

        def finish():
            r = c.wait()
            answered(sent, POOLED if which[0] else POOL, which[1])
            v.close()
            return r
        return finish

    def settle(self, which, result, states):
        """Finds the state that was copied."""
        if result == 'ENOENT' and any(s.data is None for s in states):
            count('refused')
            states = [self.copies[which]]
        elif result != 0:
            raise Violation('%s: copied with %s' % (which[1], result))
        have = self.state(which)
        for s in states:
            if have == whole(s):
                self.copies[which] = s.copy()
                count('copies')
                return
        raise Violation('%s holds %s, want a state of its source: %s' % (
            which[1], brief(have), ' or '.join(brief(whole(s)) for s in states)))

    def state(self, which):
        s = self.targets[which[0]].state(which[1])
        if isinstance(s, str):
            raise Violation('%s is read with %s' % (which[1], s))
        return None if s is None else dict(data=s['data'], attrs=s['x'], omap=s['k'])

    def end(self):
        super().end()
        for which, m in self.copies.items():
            if self.state(which) != whole(m):
                raise Violation('%s in the end: %s, want %s' % (
                    which[1], brief(self.state(which)), brief(whole(m))))


def whole(m):
    if m.data is None:
        return None
    return dict(data=bytes(m.data), attrs={k.encode(): v for k, v in m.attrs.items()},
                omap={k.encode(): v for k, v in m.omap.items()})
