"""One storage array: a folder of qcow2 images, and a qemu-storage-daemon that serves them over NBD.

A volume is open while somebody uses it: a host (an export), a copy of it (a mirror), a snapshot. Only what
nobody uses can be resized, since qemu-img wants it for itself.
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import threading
import time

GB = 1 << 30
# qemu-img and QMP answer in milliseconds; whoever waits longer waits for something dead.
PATIENCE = 30

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


class Trouble(Exception):
    """The array cannot do it, in the words of whatever said so."""


def dies_with_its_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def image(*arguments):
    """Runs qemu-img."""
    done = subprocess.run(["qemu-img", *arguments], capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode:
        raise Trouble(done.stderr.strip())


class Array:
    """The array of one availability zone."""

    def __init__(self, folder, zone):
        self.zone = zone
        self.folder = os.path.join(os.path.abspath(folder), zone)
        self.nbd = os.path.join(self.folder, "nbd.sock")
        self.qmp = os.path.join(self.folder, "qmp.sock")
        self.lock = threading.RLock()
        self.child = None
        self.wire = None
        self.users = {}  # node: who uses it; no user, no node
        self.filters = {}  # node: the filter that copies what is written to it
        os.makedirs(self.folder, exist_ok=True)

    # --- the daemon ---------------------------------------------------------------------------------

    def start(self):
        """Starts the daemon. From the main thread only: the daemon dies with the thread that started it."""
        for path in (self.nbd, self.qmp):
            if os.path.exists(path):
                os.remove(path)
        command = [
            "qemu-storage-daemon",
            "--chardev", f"socket,id=qmp,path={self.qmp},server=on,wait=off",
            "--monitor", "chardev=qmp",
            "--nbd-server", f"addr.type=unix,addr.path={self.nbd},max-connections=0",
        ]
        self.child = subprocess.Popen(command, preexec_fn=dies_with_its_parent)
        end = time.monotonic() + PATIENCE
        while True:
            line = socket.socket(socket.AF_UNIX)
            line.settimeout(PATIENCE)
            try:
                line.connect(self.qmp)
                break
            except OSError:
                line.close()
                if self.child.poll() is not None or time.monotonic() > end:
                    raise Trouble(f"the daemon of `{self.zone}` does not start") from None
                time.sleep(0.01)
        self.users, self.filters = {}, {}
        self.wire = line.makefile("rwb", buffering=0)
        self.wire.readline()  # the greeting
        self.ask("qmp_capabilities")

    def kill(self):
        """Ends it as a power cut would."""
        self.child.kill()
        self.child.wait()

    def alive(self):
        return self.child is not None and self.child.poll() is None

    def ask(self, command, **arguments):
        """One QMP command. Names have `_` where QMP has `-`."""
        named = {key.replace("_", "-"): value for key, value in arguments.items() if value is not None}
        with self.lock:
            try:
                order = {"execute": command, "arguments": named}
                self.wire.write(json.dumps(order).encode() + b"\n")
                while True:
                    line = self.wire.readline()
                    if not line:
                        raise OSError("it hung up")
                    answer = json.loads(line)
                    if "return" in answer:
                        return answer["return"]
                    if "error" in answer:
                        raise Trouble(f"{command}: {answer['error']['desc']}")
            except OSError as error:
                raise Trouble(f"the array of `{self.zone}` does not answer: {error}") from None

    # --- images -------------------------------------------------------------------------------------

    def file(self, key):
        return os.path.join(self.folder, key + ".qcow2")

    def create(self, key, size_gb, like=None):
        """A new image; with what the image `like` holds."""
        self.ask("query-version")  # a dead array makes no images
        if like is None:
            image("create", "-q", "-f", "qcow2", self.file(key), f"{size_gb}G")
        else:
            image("convert", "-O", "qcow2", self.file(like), self.file(key))
            image("resize", "-q", self.file(key), f"{size_gb}G")

    def resize(self, key, size_gb):
        self.ask("query-version")
        image("resize", "-q", self.file(key), f"{size_gb}G")

    def remove(self, key):
        self.ask("query-version")
        if os.path.exists(self.file(key)):
            os.remove(self.file(key))

    def used_bytes(self, key):
        """What it takes on the disk."""
        try:
            return os.stat(self.file(key)).st_blocks * 512
        except FileNotFoundError:
            return 0

    # --- nodes and exports --------------------------------------------------------------------------

    def open(self, key, user):
        """The node of an image; it stays open until its last user closes it."""
        node = "v" + key[:12]
        with self.lock:
            if node not in self.users:
                at = {"driver": "file", "filename": self.file(key)}
                self.ask("blockdev-add", driver="qcow2", node_name=node, file=at, discard="unmap")
                self.users[node] = set()
            self.users[node].add(user)
        return node

    def close(self, key, user):
        node = "v" + key[:12]
        with self.lock:
            users = self.users.get(node, set())
            users.discard(user)
            if node in self.users and not users:
                self.ask("blockdev-del", node_name=node)
                del self.users[node]

    def nodes(self):
        return {node["node-name"] for node in self.ask("query-named-block-nodes", flat=True)}

    def top(self, node):
        """Where to write to a node. Past the filter of a mirror, writes would not be copied."""
        above = self.filters.get(node)
        return above if above in self.nodes() else node

    def export(self, key, name, writable):
        """Lets the world reach an image by `name`."""
        with self.lock:
            node = self.open(key, name)
            try:
                self.ask(
                    "block-export-add", type="nbd", id="e" + name[:12], node_name=self.top(node), name=name, writable=writable
                )
            except Trouble:
                self.close(key, name)
                raise
        return f"nbd+unix:///{name}?socket={self.nbd}"

    def unexport(self, key, name):
        """Takes it back, whoever is connected."""
        with self.lock:
            mine = "e" + name[:12]
            if any(export["id"] == mine for export in self.ask("query-block-exports")):
                self.ask("block-export-del", id=mine, mode="hard")
                self.until(lambda: all(export["id"] != mine for export in self.ask("query-block-exports")), "the export stays")
            self.close(key, name)

    # --- jobs ---------------------------------------------------------------------------------------

    def until(self, done, otherwise, limit=PATIENCE):
        end = time.monotonic() + limit
        while not done():
            if time.monotonic() > end:
                raise Trouble(otherwise)
            time.sleep(0.01)

    def job(self, name):
        """A job as QMP tells it; nothing where there is none."""
        return next((job for job in self.ask("query-jobs") if job["id"] == name), None)

    def mirror(self, key, job, target, wait_for_target, speed):
        """Copies an image to an export of another array, and from then on whatever is written to it.

        With `wait_for_target` a write is answered once the other array has it too."""
        with self.lock:
            node = self.open(key, job)
            server = {"type": "unix", "path": target.nbd}
            self.ask("blockdev-add", driver="nbd", node_name="n" + job, server=server, export=job)
            # A mirror's own `speed` ends when it has caught up; this holds for good.
            self.ask("object-add", qom_type="throttle-group", id="g" + job)
            self.slow(job, speed)
            self.ask("blockdev-add", driver="throttle", node_name="t" + job, throttle_group="g" + job, file="n" + job)
            self.ask(
                "blockdev-mirror", job_id=job, device=node, target="t" + job, sync="full",
                copy_mode="write-blocking" if wait_for_target else "background",
                filter_node_name="f" + job, auto_dismiss=False,
            )
            self.filters[node] = "f" + job

    def slow(self, job, speed):
        """Lets a mirror send so many bytes a second; 0 is as many as it can."""
        self.ask("qom-set", path="/objects/g" + job, property="limits", value={"bps-total": speed})

    def unmirror(self, key, job):
        """Ends a mirror; both sides stay equal where they were."""
        if self.job(job) is not None:
            if self.job(job)["status"] != "concluded":
                self.ask("block-job-cancel", device=job, force=self.job(job)["status"] != "ready")
                self.until(lambda: self.job(job)["status"] == "concluded", "the mirror does not end")
            self.ask("job-dismiss", id=job)
        with self.lock:
            self.filters.pop("v" + key[:12], None)
            for node in ("t" + job, "n" + job):
                if node in self.nodes():
                    self.ask("blockdev-del", node_name=node)
            if any(child["name"] == "g" + job for child in self.ask("qom-list", path="/objects")):
                self.ask("object-del", id="g" + job)
            self.close(key, job)

    def snapshot(self, key, copy, size_gb):
        """A copy of an image as it is now, whoever goes on writing to it."""
        self.create(copy, size_gb)
        node, target, job = self.open(key, copy), self.open(copy, copy), "s" + copy[:12]
        try:
            self.ask("blockdev-backup", job_id=job, device=self.top(node), target=target, sync="full", auto_dismiss=False)
            self.until(lambda: self.job(job)["status"] == "concluded", "the snapshot does not end", 600)
            error = self.job(job).get("error")
            self.ask("job-dismiss", id=job)
            if error:
                raise Trouble(error)
        finally:
            self.close(copy, copy)
            self.close(key, copy)
