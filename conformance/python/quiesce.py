"""A client of an image that becomes quiet when it is asked: POOL IMAGE SECONDS RESULT TEXT. It
writes the text at 0, if there is one, waits, and answers with the result. It prints what it hears,
one word a line, and ends with its input."""
import sys

import rados

import rbd_frame
from rbd_suite_quiesce import Watcher


class Printed(list):
    def append(self, word):
        print(word, flush=True)


def main():
    pool, image, seconds, result, text = sys.argv[1:]
    cluster = rados.Rados(conffile='')
    cluster.conf_read_file()
    cluster.connect(timeout=30)
    t = rbd_frame.T(cluster, pool, image)
    watcher = Watcher(t, image, float(seconds), int(result), text.encode())
    watcher.heard = Printed()
    print('ready', flush=True)
    sys.stdin.read()
    t.close()


main()
