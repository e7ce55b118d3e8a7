"""What the cases of rbd_suite*.py stand on: the list of cases and what a case is handed."""
import contextlib
import ctypes
import json
import os
import random
import re
import subprocess
import tempfile
import time

import rados
import rbd

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
CASES = []


class Wrong(Exception):
    """An answer is not what it has to be."""


class Case:
    def __init__(self, name, run, needs):
        self.name, self.run, self.needs = name, run, needs


def case(needs=(), rows=None):
    """Adds a function as a case, or one for each row: its first value is the row's name, the
    others are arguments."""
    def add(fn):
        subject = fn.__module__.removeprefix('rbd_suite_')
        if rows is None:
            CASES.append(Case(f'{subject}.{fn.__name__}', fn, needs))
            return fn
        for row in rows:
            name = f'{subject}.{fn.__name__}[{row[0]}]'
            CASES.append(Case(name, lambda t, row=row: fn(t, *row[1:]), needs))
        return fn
    return add


def pattern(size, seed=1):
    """Bytes that differ everywhere."""
    return random.Random(seed).randbytes(size)


class T:
    """One run of a case. What is opened here is closed at its end."""

    def __init__(self, cluster, pool, name):
        self.cluster, self.pool = cluster, pool
        self.stack = contextlib.ExitStack()
        self.io = self.stack.enter_context(cluster.open_ioctx(pool))
        self.rbd = rbd.RBD()
        self.name = re.sub(r'\W+', '_', name).strip('_')
        self.namespace = ''

    def close(self):
        self.stack.close()

    # Images.

    def create(self, name=None, size=8 * MIB, **options):
        name = name or self.name
        options.setdefault('old_format', False)
        self.rbd.create(self.io, name, size, **options)
        return name

    def open(self, name=None, **options):
        """An image, open until the end of the case or its own end."""
        io = options.pop('io', self.io)
        return self.stack.enter_context(rbd.Image(io, name or self.name, **options))

    def image(self, name=None, size=8 * MIB, **options):
        return self.open(self.create(name, size, **options))

    def own_namespace(self):
        """Goes to a namespace that nothing else uses, also for the command line."""
        self.namespace = self.name
        self.rbd.namespace_create(self.io, self.namespace)
        self.io.set_namespace(self.namespace)

    def ioctx(self, pool=None, cluster=None):
        return self.stack.enter_context((cluster or self.cluster).open_ioctx(pool or self.pool))

    def client(self):
        """Another client of the cluster."""
        other = rados.Rados(conffile='')
        other.conf_read_file()
        other.connect(timeout=30)
        self.stack.callback(other.shutdown)
        return other

    # The command line.

    def cli(self, *args, code=0, says='', stdin=b'', raw=False):
        """Runs rbd in the pool and returns what it prints; it has to end with the code and to
        say something on stderr."""
        where = ['-p', self.pool] if not raw else []
        if self.namespace and not raw:
            where += ['--namespace', self.namespace]
        return self.command('rbd', *args, *where, code=code, says=says, stdin=stdin)

    def command(self, *args, code=0, says='', stdin=b''):
        try:
            run = subprocess.run([str(a) for a in args], input=stdin, capture_output=True,
                                 timeout=100, check=False)
        except subprocess.TimeoutExpired as e:
            raise Wrong(f'{" ".join(map(str, args))}: does not end; stdout {e.stdout}, stderr '
                        f'{e.stderr}; the OSDs have under way {self.under_way()}') from e
        err = run.stderr.decode(errors='replace')
        if run.returncode < 0:  # it crashed: what it says of that is the first lines
            err = err[:1500]
        if run.returncode != code or says not in err:
            raise Wrong(f'{" ".join(map(str, args))}: exit code {run.returncode}, stderr '
                        f'{err[-1500:]!r}; want {code} and {says!r}')
        try:
            return run.stdout.decode()
        except UnicodeDecodeError:
            return run.stdout

    def under_way(self):
        """The requests that OSDs work on, or keep waiting."""
        ops = []
        for osd in json.loads(self.cluster.mon_command('{"prefix": "osd ls", "format": "json"}',
                                                       b'')[1]):
            ret, out, _ = self.cluster.osd_command(osd, '{"prefix": "dump_ops_in_flight"}', b'')
            ops += [f'osd.{osd} {op["age"]:.1f} s {op["description"]}'
                    for op in json.loads(out)['ops']] if ret == 0 else []
        return ops

    def json(self, *args, **options):
        return json.loads(self.cli(*args, '--format', 'json', **options))

    def mgr(self, prefix, code=0, **args):
        """Asks the manager and returns what it prints."""
        ret, out, err = self.cluster.mgr_command(json.dumps({'prefix': prefix, **args}), b'')
        if ret != -code:
            raise Wrong(f'{prefix}: {ret} {err}; want {-code}')
        return out.decode() if code == 0 else err

    def tmp(self, name='f'):
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        return os.path.join(folder, name)

    # What has to be.

    def eq(self, got, want, what=''):
        if got != want:
            raise Wrong(f'{what} {short(got)}, want {short(want)}')

    def ok(self, true, what='not so'):
        if not true:
            raise Wrong(str(what))

    def has(self, text, *parts):
        for p in parts:
            self.ok(p in text, f'{p!r} is missing in {short(text)}')

    def errno(self, number, fn, *args, **options):
        """The call fails with the error."""
        try:
            got = fn(*args, **options)
        except rbd.OSError as e:
            self.eq(e.errno, number, f'{e}: errno')
            return
        raise Wrong(f'no error but {short(got)}, want errno {number}')

    def raises(self, kind, fn, *args, **options):
        try:
            got = fn(*args, **options)
        except kind:
            return
        raise Wrong(f'no error but {short(got)}, want {kind.__name__}')

    def until(self, true, what, seconds=30):
        """Waits until something is so and returns it."""
        deadline = time.monotonic() + seconds
        while True:
            if got := true():
                return got
            if time.monotonic() > deadline:
                raise Wrong(f'not within {seconds} s: {what}')
            time.sleep(0.05)


def short(value):
    text = repr(value)
    return text if len(text) < 600 else f'{text[:300]} ... {text[-200:]}'


class C:
    """librbd's C functions, for what the Python binding lacks. Every call's result is checked by
    the case."""
    lib = ctypes.CDLL('librbd.so.1')
    rados = ctypes.CDLL('librados.so.2')

    def __init__(self, t, name=None, read_only=False):
        self.cluster, self.io, self.image = (ctypes.c_void_p() for _ in range(3))
        rados_lib = self.rados
        self.must(rados_lib.rados_create(ctypes.byref(self.cluster), None))
        t.stack.callback(rados_lib.rados_shutdown, self.cluster)
        self.must(rados_lib.rados_conf_read_file(self.cluster, None))
        self.must(rados_lib.rados_connect(self.cluster))
        self.must(rados_lib.rados_ioctx_create(self.cluster, t.pool.encode(),
                                               ctypes.byref(self.io)))
        t.stack.callback(rados_lib.rados_ioctx_destroy, self.io)
        rados_lib.rados_ioctx_set_namespace(self.io, t.namespace.encode())
        opener = self.lib.rbd_open_read_only if read_only else self.lib.rbd_open
        self.must(opener(self.io, (name or t.name).encode(), ctypes.byref(self.image), None))
        t.stack.callback(self.lib.rbd_close, self.image)

    @staticmethod
    def must(ret):
        if ret < 0:
            raise Wrong(f'{ret} from librados or librbd')

    def __getattr__(self, name):
        """rbd_NAME of the image; integers are passed as 64 bits."""
        fn = getattr(self.lib, 'rbd_' + name)

        def call(*args):
            fn.restype = ctypes.c_ssize_t
            return ctypes.c_int(fn(self.image, *[ctypes.c_uint64(a) if isinstance(a, int) else a
                                                 for a in args])).value
        return call
