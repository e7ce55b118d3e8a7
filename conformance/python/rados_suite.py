"""All that librados can ask, through the stock librados. Each case prints a line: "ok" or "FAIL",
its name, and what was wrong; the last line counts them.

usage: CEPH_CONF=... rados_suite.py [-n REGEX] [-j THREADS]
"""
import argparse
import concurrent.futures
import importlib
import os
import re
import sys
import threading
import time
import traceback

sys.dont_write_bytecode = True
from suite import case  # noqa: E402

SUBJECTS = 'data attrs calls listing watching cluster snaps striping'.split()


def run(suite, c):
    began, said = time.monotonic(), None
    try:
        t = case.Context(suite, c.name)
        try:
            c.run(t)
        finally:
            t.close()
    except case.Failure as e:
        said = str(e)
    except Exception:
        said = traceback.format_exc()
    took = time.monotonic() - began
    with suite.lock:
        if said is None:
            print('ok %s (%.2fs)' % (c.name, took), flush=True)
        else:
            print('FAIL %s: %s' % (c.name, said.strip().replace('\n', '\n\t')), flush=True)
    return said is None


def main():
    p = argparse.ArgumentParser()
    p.add_argument('-n', dest='name', default='')
    p.add_argument('-j', dest='threads', type=int, default=4)
    args = p.parse_args()
    for s in SUBJECTS:
        importlib.import_module('suite.' + s)
    chosen = [c for c in case.CASES if re.search(args.name, c.name)]
    # A case that never ends must not hide what the others gave.
    watchdog = threading.Timer(540, lambda: (print('FAIL rados_suite: not done', flush=True),
                                             os._exit(1)))
    watchdog.daemon = True
    watchdog.start()
    suite = case.Suite(os.environ['CEPH_CONF'])
    try:
        together = sorted((c for c in chosen if not c.alone), key=lambda c: not c.slow)
        slow = [c for c in together if c.slow]
        with concurrent.futures.ThreadPoolExecutor(args.threads + len(slow)) as pool:
            done = list(pool.map(lambda c: run(suite, c), together))
        done += [run(suite, c) for c in chosen if c.alone]
    finally:
        suite.close()
    print('%d cases, %d failed' % (len(done), done.count(False)), flush=True)
    os._exit(0 if all(done) else 1)


main()
