"""Pools that are ext4 file systems in image files. They grow while nobody has them mounted.

`resize2fs -z` writes what it overwrites into PATH.undo. Where that file still lies there, a growth was
broken off, by a failure or by a crash: it is taken back exactly, and begun again from the start.
"""

import os
import struct

from programs import held, run

UNIT = 1 << 20
SHRINKS = "moving a file system's data together is not safe enough to be done unattended"
# e2fsck says 1 where it mended something.
CHECKED = (0, 1)


def measure(pool):
    """From the superblock: ext4's disk layout, kernel documentation, `struct ext4_super_block`."""
    with open(pool.path, "rb") as image:
        image.seek(1024)
        block = image.read(1024)
    if len(block) < 1024 or struct.unpack_from("<H", block, 0x38)[0] != 0xEF53:
        raise RuntimeError("`%s` holds no ext4 file system" % pool.path)
    blocks, _, free = struct.unpack_from("<III", block, 0x4)
    if struct.unpack_from("<I", block, 0x60)[0] & 0x80:  # 64bit
        blocks |= struct.unpack_from("<I", block, 0x150)[0] << 32
        free |= struct.unpack_from("<I", block, 0x158)[0] << 32
    size = 1024 << struct.unpack_from("<I", block, 0x18)[0]
    return blocks * size, (blocks - free) * size


def grow(pool, size):
    with held(pool.path):
        unmounted(pool)
        back(pool)
        if measure(pool)[0] >= size:
            return
        before = os.path.getsize(pool.path)
        run("e2fsck", "-fp", pool.path, good=CHECKED)
        with open(undo(pool) + ".size", "w") as note:
            note.write(str(before))
        os.truncate(pool.path, max(before, size))
        run("resize2fs", "-z", undo(pool), pool.path, "%dK" % (size // 1024))
        # Some versions leave the inode that is kept for resizing behind, and the next check would stop
        # there. It is mended at once, while all of it can still be undone.
        run("e2fsck", "-fy", "-z", undo(pool), pool.path, good=CHECKED)
        clear(pool)


def restore(pool, size):
    """Takes back a growth that was broken off. One that was completed stays: it is not unsafe."""
    with held(pool.path):
        unmounted(pool)
        return back(pool)


def back(pool):
    """Puts the image back where a growth that was broken off found it."""
    note = undo(pool) + ".size"
    if not os.path.exists(note):
        return False
    with open(note) as text:
        before = text.read().strip()
    # Without a size nothing was begun: the note is written before the image is touched.
    if before:
        if os.path.exists(undo(pool)):
            # 1: it had not begun to overwrite anything. The check below says whether all is well.
            run("e2undo", "-f", undo(pool), pool.path, good=(0, 1))
        os.truncate(pool.path, int(before))
        run("e2fsck", "-fp", pool.path, good=CHECKED)
    clear(pool)
    return bool(before)


def undo(pool):
    return pool.path + ".undo"


def clear(pool):
    # The note last: while it is there, the undo is.
    for path in (undo(pool), undo(pool) + ".size"):
        if os.path.exists(path):
            os.remove(path)


def unmounted(pool):
    """Refuses an image that is mounted here: changing it then would destroy it."""
    wanted = os.path.realpath(pool.path)
    for loop in os.listdir("/sys/block"):
        backing = "/sys/block/%s/loop/backing_file" % loop
        try:
            with open(backing) as text:
                file = text.read().rstrip("\n")
        except OSError:
            continue
        if os.path.realpath(file) == wanted:
            raise RuntimeError("`%s` is in use as /dev/%s: unmount it and detach the loop device first" % (pool.path, loop))
