"""Everything that librbd asks of a cluster, case by case.

    rbd_suite.py [--without FEATURE,...] [--only REGEX] [--jobs N]

A line "ok NAME SECONDS" or "FAIL NAME SECONDS REASON" for every case, "skip NAME FEATURE" for
those that need what the cluster is said to lack, and last how many there were.
"""
import argparse
import faulthandler
import importlib
import json
import multiprocessing
import re
import sys
import time
import traceback

import rados
import rbd

import rbd_frame

SUBJECTS = ['create', 'io', 'resize', 'lock', 'meta', 'trash', 'cli', 'journal', 'mirror', 'snap',
            'clone', 'diff', 'mgr', 'migrate', 'remove', 'quiesce', 'tools']
CASE_LIMIT = 180  # seconds; deriving keys of encryption takes long on a busy machine
POOLS = {'rbdsuite': 32, 'rbdsuite2': 8}


def connect():
    cluster = rados.Rados(conffile='')
    cluster.conf_read_file()
    cluster.connect(timeout=30)
    return cluster


def command(cluster, prefix, **args):
    ret, _, err = cluster.mon_command(json.dumps({'prefix': prefix, **args}), b'')
    if ret:
        raise RuntimeError(f'{prefix}: {ret} {err}')


def make_pools(cluster):
    for pool, pgs in POOLS.items():
        command(cluster, 'osd pool create', pool=pool, pg_num=pgs, pgp_num=pgs)
    cluster.wait_for_latest_osdmap()
    for pool in POOLS:
        with cluster.open_ioctx(pool) as io:
            rbd.RBD().pool_init(io, True)


def drop_pools(cluster):
    for pool in POOLS:
        if cluster.pool_exists(pool):
            command(cluster, 'osd pool rm', pool=pool, pool2=pool,
                    yes_i_really_really_mean_it=True)


def run(case, cluster):
    """The reason why the case failed, or ''."""
    t = rbd_frame.T(cluster, 'rbdsuite', case.name)
    try:
        try:
            case.run(t)
        finally:
            t.close()
    except rbd_frame.Wrong as e:
        where = traceback.extract_tb(e.__traceback__)
        line = [f for f in where if 'rbd_suite_' in f.filename]
        return f'line {line[-1].lineno if line else 0}: {e}'
    except Exception as e:
        where = traceback.extract_tb(e.__traceback__)
        line = [f for f in where if 'rbd_suite_' in f.filename]
        return f'line {line[-1].lineno if line else 0}: {type(e).__name__}: {e}'
    return ''


def load():
    for subject in SUBJECTS:
        importlib.import_module('rbd_suite_' + subject)


def work(todo, done):
    """A process that runs cases; a case that hangs ends it, with its stack on stderr."""
    load()
    cluster = connect()
    while (index := todo.get()) is not None:
        faulthandler.dump_traceback_later(CASE_LIMIT, exit=True)
        begin = time.monotonic()
        done.put((index, None, 0))
        reason = run(rbd_frame.CASES[index], cluster)
        faulthandler.cancel_dump_traceback_later()
        done.put((index, reason, time.monotonic() - begin))
    cluster.shutdown()


class Workers:
    def __init__(self, jobs, indexes):
        # A fork of a process with librados' threads can hang.
        self.spawn = multiprocessing.get_context('spawn')
        self.todo, self.done = self.spawn.Queue(), self.spawn.Queue()
        for i in indexes:
            self.todo.put(i)
        for _ in range(jobs):
            self.todo.put(None)
        self.processes = [self.start() for _ in range(jobs)]

    def start(self):
        p = self.spawn.Process(target=work, args=(self.todo, self.done))
        p.start()
        return p

    def results(self):
        """(index, reason, seconds) of every case, in the order in which they end."""
        begun = set()
        while True:
            try:
                index, reason, seconds = self.done.get(timeout=0.5)
            except Exception:
                if self.alive():
                    continue
                break
            if reason is None:
                begun.add(index)
                continue
            begun.discard(index)
            yield index, reason, seconds
        for index in begun:
            yield index, f'did not end within {CASE_LIMIT} s, or died', CASE_LIMIT

    def alive(self):
        """Whether any process runs; one that died is replaced."""
        for i, p in enumerate(self.processes):
            if not p.is_alive() and p.exitcode:
                self.processes[i] = self.start()
        return any(p.is_alive() for p in self.processes)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--without', default='')
    parser.add_argument('--only', default='')
    parser.add_argument('--jobs', type=int, default=6)
    args = parser.parse_args()
    load()
    cases, without = rbd_frame.CASES, set(args.without.split(','))
    names = [c.name for c in cases]
    if len(set(names)) != len(names):
        sys.exit(f'two cases have one name: {sorted(n for n in names if names.count(n) > 1)}')
    chosen = []
    for i, c in enumerate(cases):
        lacks = without.intersection(c.needs)
        if not re.search(args.only, c.name):
            continue
        if lacks:
            print('skip', c.name, *lacks)
        else:
            chosen.append(i)
    cluster = connect()
    drop_pools(cluster)
    make_pools(cluster)
    failed = ran = 0
    for index, reason, seconds in Workers(args.jobs, chosen).results():
        ran += 1
        failed += reason != ''
        print('FAIL' if reason else 'ok', cases[index].name, f'{seconds:.2f}', reason, flush=True)
    drop_pools(cluster)
    cluster.shutdown()
    print(f'{ran} cases, {failed} failed')
    sys.exit(failed != 0 or ran != len(chosen))


if __name__ == '__main__':
    main()
