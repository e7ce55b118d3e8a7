"""Writes to a pool until it is stopped or the cluster goes away, and prints one line for every
write that was acknowledged: "NAME VERSION". With "check FILE" it reads everything back and
compares: each object must hold the version printed last for it, or a later one."""
import hashlib
import sys
import threading
import time

import rados

POOL, WHAT, FILE = sys.argv[1:4]
OBJECTS = 64
SIZES = (1, 4096, 5000, 65536, 300000)


def body(name, version):
    seed = hashlib.sha256(('%s %d' % (name, version)).encode()).digest()
    size = SIZES[version % len(SIZES)]
    return ('%s %d\n' % (name, version)).encode() + (seed * (size // 32 + 1))[:size]


def connect():
    cluster = rados.Rados(conffile='')
    cluster.conf_read_file()
    cluster.connect(timeout=60)
    return cluster, cluster.open_ioctx(POOL)


def write():
    _, io = connect()
    log, lock = open(FILE, 'a'), threading.Lock()

    def run(worker):
        version = int(time.time()) * 1000  # higher than in every earlier run
        while True:
            version += 1
            for i in range(worker, OBJECTS, 8):
                name = 'w%d' % i
                io.write_full(name, body(name, version))
                with lock:
                    log.write('%s %d\n' % (name, version))
                    log.flush()
    threads = [threading.Thread(target=run, args=(w,), daemon=True) for w in range(8)]
    for t in threads:
        t.start()
    print('writing', flush=True)
    for t in threads:
        t.join()


def check():
    cluster, io = connect()
    acked, lines = {}, 0
    for line in open(FILE):
        parts = line.split()
        if len(parts) == 2:
            lines += 1
            acked[parts[0]] = max(int(parts[1]), acked.get(parts[0], 0))
    bad = 0
    for name, version in acked.items():
        try:
            data = io.read(name, 1 << 20)
        except rados.ObjectNotFound:
            print('LOST', name, version)
            bad += 1
            continue
        head, _, _ = data.partition(b'\n')
        got = int(head.split()[1])
        if got < version or data != body(name, got):
            print('WRONG', name, 'acknowledged', version, 'found', got)
            bad += 1
    print('%d objects hold what was acknowledged last, of %d writes' % (len(acked) - bad, lines))
    cluster.shutdown()
    sys.exit(1 if bad or not acked else 0)


{'write': write, 'check': check}[WHAT]()
