"""The commands of rbd that TestOurFeatures needs, with python3-rbd: a client on its own, which
reads and writes the files of differences by what their format is said to be.

Arguments: pool, then those of rbd; --namespace NAME comes first if there is one."""
import random
import struct
import sys

import rados
import rbd

BANNER = b'rbd diff v1\n'
FEATURES = {'layering': rbd.RBD_FEATURE_LAYERING, 'exclusive-lock': rbd.RBD_FEATURE_EXCLUSIVE_LOCK,
            'object-map': rbd.RBD_FEATURE_OBJECT_MAP, 'fast-diff': rbd.RBD_FEATURE_FAST_DIFF,
            'deep-flatten': rbd.RBD_FEATURE_DEEP_FLATTEN, 'journaling': rbd.RBD_FEATURE_JOURNALING}


def size_of(text):
    units = {'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30}
    return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)


def split(args):
    """Words and options, of which all have a value."""
    words, options, rest = [], {}, iter(args)
    for a in rest:
        if a.startswith('--'):
            options[a[2:].replace('-', '_')] = next(rest)
        else:
            words.append(a)
    return words, options


class Client:
    def __init__(self, io):
        self.io, self.rbd = io, rbd.RBD()

    def open(self, spec, read_only=False):
        name, _, snap = spec.partition('@')
        return rbd.Image(self.io, name, snapshot=snap or None, read_only=read_only or bool(snap))

    def create(self, image, size, image_feature=None, stripe_unit='0', stripe_count='0',
               data_pool=None):
        features = None
        if image_feature:
            features = sum(FEATURES[f] for f in image_feature.split(','))
        self.rbd.create(self.io, image, size_of(size), old_format=False, features=features,
                        stripe_unit=size_of(stripe_unit), stripe_count=int(stripe_count),
                        data_pool=data_pool)

    def import_(self, path, image, **options):
        with open(path, 'rb') as f:
            data = f.read()
        self.create(image, str(len(data)), **options)
        with self.open(image) as i:
            i.write(data, 0)
            i.flush()

    def export(self, spec, path):
        with self.open(spec, True) as i, open(path, 'wb') as f:
            f.write(i.read(0, i.size()))

    def resize(self, image, size):
        with self.open(image) as i:
            i.resize(size_of(size))

    def bench(self, image, io_type, io_size, io_total):
        assert io_type == 'write'
        each = size_of(io_size)
        with self.open(image) as i:
            for _ in range(size_of(io_total) // each):
                i.write(random.randbytes(each), random.randrange(i.size() // each) * each)
            i.flush()

    def snap_create(self, spec):
        name, _, snap = spec.partition('@')
        with self.open(name) as i:
            i.create_snap(snap)

    def snap_purge(self, image):
        with self.open(image) as i:
            for snap in list(i.list_snaps()):
                i.remove_snap(snap['name'])

    def rm(self, image):
        self.rbd.remove(self.io, image)

    def export_diff(self, spec, path, from_snap=None):
        with self.open(spec, True) as i, open(path, 'wb') as f:
            f.write(BANNER)
            for tag, name in (b'f', from_snap), (b't', spec.partition('@')[2]):
                if name:
                    f.write(tag + struct.pack('<I', len(name)) + name.encode())
            f.write(b's' + struct.pack('<Q', i.size()))
            found = []
            i.diff_iterate(0, i.size(), from_snap, lambda *extent: found.append(extent))
            for off, length, exists in found:
                f.write((b'w' if exists else b'z') + struct.pack('<QQ', off, length))
                if exists:
                    f.write(i.read(off, length))
            f.write(b'e')

    def import_diff(self, path, image):
        with open(path, 'rb') as f, self.open(image) as i:
            assert f.read(len(BANNER)) == BANNER
            to = None
            while True:
                tag = f.read(1)
                if tag in (b'f', b't'):
                    name = f.read(struct.unpack('<I', f.read(4))[0]).decode()
                    assert (name in [s['name'] for s in i.list_snaps()]) == (tag == b'f')
                    to = name if tag == b't' else to
                elif tag == b's':
                    i.resize(struct.unpack('<Q', f.read(8))[0])
                elif tag in (b'w', b'z'):
                    off, length = struct.unpack('<QQ', f.read(16))
                    if tag == b'w':
                        i.write(f.read(length), off)
                    else:
                        i.discard(off, length)
                else:
                    assert tag == b'e' and not f.read(1), tag
                    break
            i.flush()
            if to:
                i.create_snap(to)


def main():
    pool, args = sys.argv[1], sys.argv[2:]
    with rados.Rados(conffile='') as cluster, cluster.open_ioctx(pool) as io:
        if args[0] == '--namespace':
            io.set_namespace(args[1])
            args = args[2:]
        words, options = split(args)
        client = Client(io)
        if words[0] == 'snap':
            words[:2] = ['_'.join(words[:2])]
        verb = {'import': 'import_'}.get(words[0], words[0].replace('-', '_'))
        getattr(client, verb)(*words[1:], **options)


main()
