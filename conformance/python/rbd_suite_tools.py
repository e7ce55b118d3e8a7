"""The tools of rbd that show what clients do to images meanwhile."""
import contextlib
import os
import pty
import subprocess
import threading
import time

from rbd_frame import KIB, case


@contextlib.contextmanager
def load(image):
    """Writes and reads go on meanwhile."""
    ending = threading.Event()

    def run():
        while not ending.is_set():
            image.write(bytes(64 * KIB), 0)
            image.flush()
            image.read(0, 16 * KIB)
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


@case()
def perf_iostat(t):
    t.own_namespace()
    spec = f'{t.pool}/{t.namespace}'
    with load(t.image()):
        def rows():
            out = t.json('perf', 'image', 'iostat', '--iterations', '1', spec, raw=True)
            return [r for r in out if r['image'] == t.name]
        row = t.until(rows, 'the image is shown', 60)[0]
        t.eq((row['pool'], row['pool_namespace']), (t.pool, t.namespace))
        t.ok(row['write_ops'] > 0 and row['write_bytes'] > 0 and row['write_latency'] > 0, row)
        text = t.cli('perf', 'image', 'iostat', '--iterations', '1', '--sort-by', 'write-bytes',
                     spec, raw=True)
        t.has(text, 'NAME', 'WR_BYTES', t.name)


@case()
def perf_iotop(t):
    """On a terminal, until q is pressed."""
    t.own_namespace()
    with load(t.image()):
        master, slave = pty.openpty()
        t.stack.callback(os.close, master)
        p = subprocess.Popen(['rbd', 'perf', 'image', 'iotop', f'{t.pool}/{t.namespace}'],
                             stdin=slave, stdout=slave, stderr=slave,
                             env={**os.environ, 'TERM': 'xterm', 'LINES': '30', 'COLUMNS': '120'})
        os.close(slave)
        t.stack.callback(p.wait)
        t.stack.callback(p.kill)
        seen = b''
        deadline = time.monotonic() + 60
        while t.name.encode() not in seen and time.monotonic() < deadline:
            seen += os.read(master, 1 << 16)
        t.ok(t.name.encode() in seen, seen[-1000:])
        os.write(master, b'q')
        t.eq(p.wait(20), 0)
