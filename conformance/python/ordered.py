"""Blocks of an image that are written one after the other, each with its number, so that what a
disaster left can be told from what never was: the first k of them, and nothing else.

    ordered.py POOL IMAGE write      writes until it is killed, and tells how many blocks
    ordered.py POOL IMAGE check      prints k"""
import struct
import sys

import rados
import rbd

BLOCK = 4096


def block(number):
    return struct.pack('<Q', number) * (BLOCK // 8)


def write(image):
    for number in range(image.size() // BLOCK):
        image.write(block(number + 1), number * BLOCK)
        print(number + 1, flush=True)


def check(image):
    data = image.read(0, image.size())
    found = [struct.unpack_from('<Q', data, at)[0] for at in range(0, len(data), BLOCK)]
    count = next((i for i, number in enumerate(found) if number != i + 1), len(found))
    for i, number in enumerate(found[:count] + [0] * (len(found) - count)):
        if data[i * BLOCK:(i + 1) * BLOCK] != block(number):
            sys.exit(f'block {i + 1} has {found[i]}, after {count} whole ones')
    print(count)


def main():
    pool, name, what = sys.argv[1:]
    with rados.Rados(conffile='') as cluster, cluster.open_ioctx(pool) as io, \
            rbd.Image(io, name, read_only=what == 'check') as image:
        {'write': write, 'check': check}[what](image)


if __name__ == '__main__':
    main()
