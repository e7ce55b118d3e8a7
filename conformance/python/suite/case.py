"""What the cases are made of: a registry, the context of a case, and rows of vectors."""
import re
import threading
import time

from . import librados
from .librados import Cluster, Io

CASES = []


class Case:
    def __init__(self, name, run, alone=False, slow=False):
        self.name, self.run, self.alone, self.slow = name, run, alone, slow


def case(name, **how):
    """Registers a function of a context. alone: no other case runs meanwhile; slow: it waits, and
    so is begun early."""
    def add(f):
        assert all(c.name != name for c in CASES), name
        CASES.append(Case(name, f, **how))
        return f
    return add


class Failure(Exception):
    pass


class Context:
    """What a case works with: an ioctx and an object name of its own."""

    def __init__(self, suite, name):
        self.suite, self.cluster, self.pool = suite, suite.cluster, suite.pool
        self.oid = re.sub('[^a-z0-9]+', '-', name.lower())
        self.io = Io(suite.cluster, suite.pool)
        self.opened, self.undo = [self.io], []

    def another(self, pool=None, cluster=None):
        io = Io(cluster or self.cluster, pool or self.pool)
        self.opened.append(io)
        return io

    def connect(self, **options):
        c = self.suite.connect(**options)
        self.undo.append(c.shutdown)
        return c

    def close(self):
        for f in reversed(self.undo):
            f()
        for io in self.opened:
            io.close()

    def eq(self, got, want, what=''):
        if got != want:
            raise Failure('%s%s, want %s' % (what + ': ' if what else '', short(got), short(want)))

    def ok(self, got, what=''):
        self.eq(got, 0, what)

    def true(self, cond, what):
        if not cond:
            raise Failure(what)

    def do(self, *ops, **how):
        """Runs a vector on the case's object: its result, or what its operations gave."""
        oid = how.pop('oid', self.oid)
        r, outs = self.io.run(oid, list(ops), **how)
        return r if r not in (0, 1) or not outs else outs[0] if len(outs) == 1 else outs

    def make(self, what, oid=None):
        """Gives an object a content."""
        oid, what = oid or self.oid, content(what)
        if what is None:
            return
        ops = [('write_full', what['data'])]
        ops += [('setxattr', k, v) for k, v in what['x'].items()]
        if what['k']:
            ops.append(('omap_set', what['k']))
        if what['h']:
            ops.append(('set_header', what['h']))
        self.eq(self.io.run(oid, ops)[0], 0, 'making ' + oid)

    def holds(self, want, oid=None):
        self.eq(self.io.state(oid or self.oid), content(want), 'afterwards')

    def until(self, f, what, seconds=20):
        """Waits for something that is not there at once."""
        end = time.monotonic() + seconds
        while not f():
            if time.monotonic() > end:
                raise Failure('not after %d s: %s' % (seconds, what))
            time.sleep(.05)


def content(c):
    """The whole of an object, from its data alone or from a part."""
    if c is None or not isinstance(c, (bytes, dict)):
        return c
    c = dict(data=c) if isinstance(c, bytes) else c
    return dict(data=c.get('data', b''), x={b(k): v for k, v in c.get('x', {}).items()},
                k={b(k): v for k, v in c.get('k', {}).items()}, h=c.get('h', b''))


def b(s):
    return s.encode() if isinstance(s, str) else s


def short(v):
    s = repr(v)
    return s if len(s) < 200 else '%s... (%d)' % (s[:200], len(s))


SAME = object()


def rows(subject, table, **how):
    """Registers (name, before, vector, result, outs, after). Outs are compared if they are there;
    without an after the object must be as before."""
    for row in table:
        name, before, ops, result, outs, after = (list(row) + [0, None, SAME][len(row) - 3:])[:6]
        case('%s/%s' % (subject, name), **how)(vector_case(before, ops, result, outs, after))


def vector_case(before, ops, result, outs, after):
    def run(t):
        t.make(before)
        r, got = t.io.run(t.oid, ops)
        t.eq(r, result, 'result')
        if outs is not None:
            t.eq(got, outs, 'outs')
        t.holds(before if after is SAME else after)
    return run


class Suite:
    def __init__(self, conf):
        self.conf, self.lock = conf, threading.Lock()
        self.cluster = self.connect()
        self.pool = self.make_pool('rados-suite', 16)

    def connect(self, user='admin', **options):
        options = dict(dict(rados_osd_op_timeout=30, rados_mon_op_timeout=30), **options)
        c = Cluster(self.conf, user, **options)
        r = c.connect()
        if r < 0:
            raise OSError(-r, 'cannot connect as %s' % user)
        return c

    def make_pool(self, name, pgs):
        self.cluster.ask(prefix='osd pool create', pool=name, pg_num=pgs, pgp_num=pgs,
                         autoscale_mode='off')
        self.cluster.ask(prefix='osd pool application enable', pool=name, app='test')
        return name

    def close(self):
        self.drop_pool(self.pool)
        self.cluster.shutdown()

    def drop_pool(self, name):
        self.cluster.ask(prefix='osd pool rm', pool=name, pool2=name,
                         yes_i_really_really_mean_it=True)


__all__ = ['case', 'rows', 'Failure', 'b', 'short', 'librados']
