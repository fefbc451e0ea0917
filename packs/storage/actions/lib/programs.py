"""Programs of the system, and one writer at a time."""

import contextlib
import fcntl
import os
import resource
import subprocess

# Actions may write files of up to 1 GiB, against accidents. Whoever grows pools means to write larger ones.
_, largest = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))


def run(*command, good=(0,)):
    """What the program prints. It gets its arguments as a list: no shell reads them."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except FileNotFoundError:
        raise RuntimeError("there is no program `%s`; install it" % command[0])
    if done.returncode not in good:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        # The last lines hold the reason; what is before them is progress.
        said = " / ".join(line for line in said[-3:] if line)
        raise RuntimeError("`%s` failed with %d: %s" % (command[0], done.returncode, said))
    return done.stdout


@contextlib.contextmanager
def held(path):
    """Nobody else who asks so changes `path` meanwhile; a second one is refused, not made to wait."""
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError("`%s` is being changed by somebody else just now" % path)
        yield
    finally:
        os.close(handle)
