"""Writes a number to the first image, then to the second one, then the next number, until its input
ends: POOL FIRST SECOND. It prints how many it wrote."""
import sys
import threading

import rados
import rbd


def main():
    pool, *names = sys.argv[1:]
    with rados.Rados(conffile='') as cluster, cluster.open_ioctx(pool) as io:
        images = [rbd.Image(io, name) for name in names]
        ended = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
        n = 0
        while not ended.is_set():
            n += 1
            for image in images:
                image.write(b'%08d' % n, 0)
            if n == 1:
                print('ready', flush=True)
        print(n, flush=True)
        for image in images:
            image.close()


main()
