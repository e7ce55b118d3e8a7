"""What keeps an image from being removed, and what goes with it: groups, journals; by the client
and by the manager, at once and from the trash."""
import json

import rbd

from rbd_frame import MIB, case
from rbd_suite_journal import FEATURES, crashed, journaled
from rbd_suite_mgr import gone, tasks


def left(t, number, *ios):
    """The objects of an image."""
    return [o.key for io in (t.io, *ios) for o in io.list_objects() if number in o.key]


def in_vain(t, prefix, **args):
    """The manager says why it can't do it: at once, or when it has tried."""
    ret, out, err = t.cluster.mgr_command(json.dumps({'prefix': prefix, **args}), b'')
    if ret:
        return err
    number = json.loads(out)['id']
    return t.until(lambda: [x.get('retry_message') for x in tasks(t) if x['id'] == number
                            and x.get('retry_message')], 'the task failed', 60)[0]


def done(t, prefix, **args):
    """The manager does it; what is queued already is tried again in its time."""
    gone(t, json.loads(t.mgr(prefix, **args)), 100)


def grouped(t):
    """An image with data in a group, closed, its number and the group."""
    with t.image() as image:
        image.write(b'kept', 0)
        number = image.id()
    t.rbd.group_create(t.io, t.name + '_g')
    group = rbd.Group(t.io, t.name + '_g')
    group.add_image(t.io, t.name)
    return number, group


def members(group):
    return [m['name'] for m in group.list_images()]


@case()
def in_a_group(t):
    _, group = grouped(t)
    t.cli('rm', t.name, code=31, says='group')
    t.eq((members(group), t.open().read(0, 4)), ([t.name], b'kept'))


@case()
def in_a_group_by_task(t):
    number, group = grouped(t)
    spec = f'{t.pool}/{t.name}'
    t.has(in_vain(t, 'rbd task add remove', image_spec=spec), '[errno 31]')
    with t.open(read_only=True) as image:
        t.eq((members(group), image.read(0, 4)), ([t.name], b'kept'))
    group.remove_image(t.io, t.name)
    done(t, 'rbd task add remove', image_spec=spec)
    t.eq((left(t, number), members(group)), ([], []))


@case()
def in_a_group_from_the_trash_by_task(t):
    number, group = grouped(t)
    t.rbd.trash_move(t.io, t.name, 0)
    spec = f'{t.pool}/{number}'
    t.has(in_vain(t, 'rbd task add trash remove', image_id_spec=spec), '[errno 31]')
    t.rbd.trash_restore(t.io, number, t.name)
    with t.open(read_only=True) as image:
        t.eq((members(group), image.read(0, 4)), ([t.name], b'kept'))
    group.remove_image(t.io, t.name)
    t.rbd.trash_move(t.io, t.name, 0)
    done(t, 'rbd task add trash remove', image_id_spec=spec)
    t.eq((left(t, number), members(group)), ([], []))


@case()
def in_a_group_at_a_schedule(t):
    """The schedule empties the trash but for what is in a group; a journal goes with its image."""
    t.own_namespace()
    with t.image('gone', features=FEATURES) as image:
        image.write(b'x', 0)
        journal = image.id()
    number, group = grouped(t)
    for name in 'gone', t.name:
        t.rbd.trash_move(t.io, name, 0)
    t.cli('trash', 'purge', 'schedule', 'add', '1m')
    t.until(lambda: [e['name'] for e in t.rbd.trash_list(t.io)] == [t.name],
            'the other is gone', 150)
    t.cli('trash', 'purge', 'schedule', 'rm')
    t.eq(left(t, journal), [])
    t.rbd.trash_restore(t.io, number, t.name)
    t.eq((members(group), t.open().read(0, 4)), ([t.name], b'kept'))


@case()
def with_a_journal_by_task(t):
    """Also one that has entries that are not in the image yet."""
    crashed(t, "image.write(b'x' * 100000, 4096); image.flush()")
    with t.open(read_only=True) as image:
        number = image.id()
    t.ok(any(key.startswith('journal_data.') for key in left(t, number)), left(t, number))
    done(t, 'rbd task add remove', image_spec=f'{t.pool}/{t.name}')
    t.eq((left(t, number), t.name in t.rbd.list(t.io)), ([], False))


@case()
def with_a_long_journal_by_task(t):
    """All its sets go, in another pool."""
    t.cli('create', '--size', '16M', '--image-feature', 'exclusive-lock,journaling',
          '--journal-pool', 'rbdsuite2', '--journal-object-size', '64K',
          '--journal-splay-width', '3', t.name)
    image, other = t.open(), t.ioctx('rbdsuite2')
    number = image.id()
    for n in range(40):
        image.write(bytes([n]) * 50000, n * 60000)
    image.flush()
    image.close()
    t.ok(len([k for k in left(t, number, other) if k.startswith('journal_data.')]) > 3)
    t.rbd.trash_move(t.io, t.name, 0)
    done(t, 'rbd task add trash remove', image_id_spec=f'{t.pool}/{number}')
    t.eq(left(t, number, other), [])


@case()
def with_a_journal_restored(t):
    """To the trash and back: what the journal has is written when the image is opened."""
    crashed(t, "image.write(b'journaled', 4096); image.flush()")
    with t.open(read_only=True) as image:  # trash_list fails if a source of a migration is there
        number = image.id()
    t.cli('trash', 'mv', t.name)
    t.eq(t.rbd.trash_get(t.io, number)['name'], t.name)
    t.rbd.trash_restore(t.io, number, t.name)
    image = t.open()
    image.write(b'next', 0)
    t.eq((image.read(0, 4), image.read(4096, 9)), (b'next', b'journaled'))


@case()
def flatten_with_a_journal_by_task(t):
    """It is flattened, or refused at once."""
    with t.image(t.name + '_p') as parent:
        parent.write(b'x', 4 * MIB)
        parent.create_snap('s')
        parent.protect_snap('s')
    t.rbd.clone(t.io, t.name + '_p', 's', t.io, t.name, features=FEATURES)
    ret, out, err = t.cluster.mgr_command(json.dumps(
        {'prefix': 'rbd task add flatten', 'image_spec': f'{t.pool}/{t.name}'}), b'')
    if ret:
        t.eq(ret, -95)
        t.has(err, f'Image {t.pool}/{t.name} has feature journaling')
        t.eq([x for x in tasks(t) if x['refs'].get('image_name') == t.name], [])
    else:
        gone(t, json.loads(out))
    image = t.open()
    t.eq(image.read(4 * MIB, 1), b'x')
    if ret:
        t.eq(image.parent_info()[1], t.name + '_p')
    else:
        t.raises(rbd.ImageNotFound, image.parent_info)


@case()
def open_elsewhere_with_a_journal(t):
    """It waits until nobody has the image open."""
    image = journaled(t)
    image.write(b'x', 0)
    number, spec = image.id(), f'{t.pool}/{t.name}'
    t.ok(in_vain(t, 'rbd task add remove', image_spec=spec))
    t.eq(image.read(0, 1), b'x')
    image.close()
    done(t, 'rbd task add remove', image_spec=spec)
    t.eq(left(t, number), [])
