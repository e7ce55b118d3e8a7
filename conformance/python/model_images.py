"""A disk whose content, snapshots and clones have to be what plain copies say."""
import random

import rbd

from model_base import POOL, SEED, Violation, Worker, client, count, stop

SIZE, ORDER, GRAIN, MOST = 8 << 20, 20, 64 << 10, 3


class Disk(Worker):
    def __init__(self, number):
        super().__init__()
        self.random = random.Random(SEED * 1000 + number)
        self.io, self.other = [client().open_ioctx(POOL) for _ in range(2)]
        self.name, self.rounds = 'model.%d' % SEED, 0

    def prepare(self):
        rbd.RBD().create(self.io, self.name, SIZE, ORDER)

    def write(self, image, held):
        """Changes some of an image and of the copy of what it holds."""
        for _ in range(self.random.randrange(1, 12)):
            n = self.random.randrange(1, 200 << 10)
            off = self.random.randrange(SIZE - n)
            kind = self.random.randrange(8)
            if kind == 0:  # only whole grains are discarded
                off, n = off // GRAIN * GRAIN, GRAIN * self.random.randrange(1, 8)
                n = min(n, SIZE - off)
                image.discard(off, n)
            elif kind == 1:
                image.write_zeroes(off, n)
            else:
                data = self.random.randbytes(n)
                image.write(data, off)
                held[off:off + n] = data
                continue
            held[off:off + n] = bytes(n)
        image.flush()
        count('writes')

    def compare(self, name, want, snap=None):
        """Reads an image as another client does."""
        with rbd.Image(self.other, name, snapshot=snap, read_only=True) as image:
            got = image.read(0, SIZE)
        if got != want:
            at = next(i for i in range(SIZE) if got[i] != want[i])
            raise Violation('%s@%s differs from byte %d on: %s, want %s' % (
                name, snap, at, got[at:at + 16].hex(), want[at:at + 16].hex()))
        count('reads')

    def work(self):
        """Takes snapshots of a disk that is written, makes a clone, and removes them."""
        held, at = bytearray(SIZE) if not self.rounds else self.held, {}
        self.rounds += 1
        with rbd.Image(self.io, self.name) as image:
            for i in range(MOST):
                self.doing = 'snapshot %d of round %d' % (i, self.rounds)
                self.write(image, held)
                image.create_snap('s%d' % i)
                at['s%d' % i] = bytes(held)
                stop.wait(self.random.random())
            self.write(image, held)
            self.compare(self.name, held)
            snap = self.random.choice(sorted(at))
            self.clone(image, snap, at[snap])
            if self.random.random() < 0.5:
                snap = self.doing = self.random.choice(sorted(at))
                image.rollback_to_snap(snap)
                held[:] = at[snap]
                self.compare(self.name, held)
                self.write(image, held)
            for snap in self.random.sample(sorted(at), len(at)):
                self.doing = 'removing snapshot %s' % snap
                self.compare(self.name, at[snap], snap)
                image.remove_snap(snap)
            self.compare(self.name, held)
        self.held = held
        count('images')

    def clone(self, parent, snap, content):
        name = self.doing = '%s.clone' % self.name
        parent.protect_snap(snap)
        rbd.RBD().clone(self.io, self.name, snap, self.io, name)
        held = bytearray(content)
        with rbd.Image(self.io, name) as image:
            self.compare(name, held)
            self.write(image, held)
            image.create_snap('of-clone')
            was = bytes(held)
            self.write(image, held)
            if self.random.random() < 0.5:
                self.doing = 'flattening a clone'
                image.flatten()
            self.compare(name, held)
            self.compare(name, was, 'of-clone')
            image.remove_snap('of-clone')
        self.compare(self.name, content, snap)
        self.doing = 'removing a clone'
        rbd.RBD().remove(self.io, name)
        parent.unprotect_snap(snap)
        count('clones')

    def end(self):
        rbd.RBD().remove(self.io, self.name)
