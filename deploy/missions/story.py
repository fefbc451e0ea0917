#!/usr/bin/env python3
"""The three missions on one machine, in a few minutes: a pool grows, a migration gives way, people hear of it once.

    deploy/missions/story.py [--ifso PROGRAM] [--work FOLDER] [--stay] [--prepare]

Starts Prometheus, node_exporter, Alertmanager, a mail server and Ifso on loopback, all with the files beside this
one, and ends what it started. Every step is looked at, not believed: the first that does not happen ends the story
with exit code 1. `--stay` leaves all of it running until Ctrl-C; `--prepare` only makes the folder, for
deploy/missions/compose.yaml. `./dev story` installs what it needs.
"""

import argparse
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
PORTS = {"ifso": 9101, "prometheus": 9090, "alertmanager": 9093, "array": 9100, "mail": 8025}
PACKS = ["storage", "objects", "notify"]
PHOTOS, PHOTO_BYTES = 600, 64 << 10
PATIENCE = 120  # seconds that a step may take


class Story:
    def __init__(self, ifso, work, ports):
        self.ifso, self.work, self.ports = ifso, work, ports
        self.home, self.pool = work / "home", work / "pools" / "gold-1"
        self.programs = {}
        self.began = time.monotonic()

    # ── telling ──────────────────────────────────────────────────────────────────────────────────

    def say(self, words):
        print("%5.0f s  %s" % (time.monotonic() - self.began, words), flush=True)

    def until(self, what, asked):
        """Waits until `asked` gives something, and gives that."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            given = asked()
            if given:
                self.say(what if isinstance(given, bool) else "%s: %s" % (what, given))
                return given
            for name, program in self.programs.items():
                if program.poll() is not None:
                    sys.exit("error: `%s` ended\nhelp: look at %s" % (name, self.work / (name + ".log")))
            time.sleep(0.2)
        sys.exit("error: it did not happen within %d s: %s\nhelp: look at %s" % (PATIENCE, what, self.work / "ifso.log"))

    # ── what runs ────────────────────────────────────────────────────────────────────────────────

    def start(self, name, *command, **more):
        log = open(self.work / (name + ".log"), "ab")
        self.programs[name] = subprocess.Popen(
            [str(part) for part in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            cwd=self.work, start_new_session=True, **more)

    def end(self, name, how=signal.SIGTERM):
        program = self.programs.pop(name)
        program.send_signal(how)
        program.wait()

    def end_all(self):
        for name in list(self.programs):
            self.end(name)

    def address(self, name):
        return "127.0.0.1:%d" % self.ports[name]

    def answers(self, name):
        with socket.socket() as door:
            door.settimeout(1)
            return door.connect_ex(("127.0.0.1", self.ports[name])) == 0

    def start_array(self):
        self.start("array", "prometheus-node-exporter", "--collector.disable-defaults", "--collector.textfile",
                   "--collector.textfile.directory=%s" % (self.work / "metrics"),
                   "--web.listen-address=" + self.address("array"))

    def start_ifso(self):
        self.start("ifso", self.ifso, "serve", "--home", self.home, "--listen", self.address("ifso"))
        self.until("Ifso is up", lambda: self.answers("ifso"))

    def cli(self, *arguments):
        """What `ifso …` says, as JSON."""
        key = (self.home / "data" / "admin.key").read_text().strip()
        said = subprocess.run(
            [self.ifso, *arguments, "--json"], capture_output=True, text=True,
            env=dict(os.environ, IFSO_URL="http://" + self.address("ifso"), IFSO_KEY=key))
        if said.returncode:
            sys.exit("error: `ifso %s` failed\n%s" % (" ".join(arguments), said.stderr))
        return json.loads(said.stdout or "null")

    # ── the parts ────────────────────────────────────────────────────────────────────────────────

    def prepare(self):
        """A home as a user would make it: copied packs, and the few files of home/."""
        for folder in [self.pool, self.work / "old" / "2026", self.work / "new", self.work / "metrics", self.work / "mails"]:
            folder.mkdir(parents=True)
        for name in ["prometheus.yml", "alerts.yml", "alertmanager.yml"]:
            self.copy(HERE / name, self.work / name)
        for file in (HERE / "home").rglob("*.*"):
            self.copy(file, self.home / file.relative_to(HERE / "home"))
        for pack in PACKS:
            shutil.copytree(REPOSITORY / "packs" / pack, self.home / "packs" / pack)
        secret = secrets.token_urlsafe(24)
        for folder in [self.home / "secrets", self.work / "secrets"]:
            folder.mkdir()
            (folder / "alertmanager").write_text(secret)
            (folder / "alertmanager").chmod(0o600)
        (self.pool / ".quota").write_text("%d\n" % (20 << 20))
        for number in range(PHOTOS):
            (self.work / "old" / "2026" / ("%04d.jpg" % number)).write_bytes(os.urandom(PHOTO_BYTES))
        (self.work / "old" / "2026" / "empty.txt").touch()

    def copy(self, source, target):
        """A file with this story's folder and ports in it."""
        text = source.read_text().replace("@WORK@", str(self.work))
        for name, port in PORTS.items():
            text = text.replace("127.0.0.1:%d" % port, self.address(name)).replace("port: %d" % port, "port: %d" % self.ports[name])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def start_all(self):
        self.start("mail", "aiosmtpd", "-n", "-l", self.address("mail"),
                   "-c", "aiosmtpd.handlers.Mailbox", self.work / "mails" / "box")
        self.start("exporter", sys.executable, HERE / "exporter.py", self.pool, self.work / "metrics" / "pool.prom")
        self.start_array()
        self.start("prometheus", "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb",
                   "--web.listen-address=" + self.address("prometheus"), "--rules.alert.resend-delay=1s")
        self.start("alertmanager", "prometheus-alertmanager", "--config.file=alertmanager.yml", "--storage.path=alerts",
                   "--web.listen-address=" + self.address("alertmanager"), "--cluster.listen-address=")
        self.start_ifso()
        self.until("Prometheus, Alertmanager, node_exporter and a mail server are up",
                   lambda: all(self.answers(name) for name in PORTS))

    # ── the chapters ─────────────────────────────────────────────────────────────────────────────

    def scaling(self):
        self.say("mission 1: the pool gold-1 has a quota of 20 MiB; 17 MiB are written into it")
        for number in range(17):
            (self.pool / ("disk-%d.img" % number)).write_bytes(os.urandom(1 << 20))
        self.until("it was made bigger; its quota in MiB", lambda: self.quota() > 20 and self.quota())
        self.until("one mail tells of it", lambda: self.mails("gold-1"))
        self.until("one mail tells that it is over", lambda: len(self.mails("gold-1")) == 2)

    def migrating(self):
        self.say("mission 2: %d photos move from old/ to new/" % PHOTOS)
        asked = self.cli("run", "objects.migration", "name=photos", "from=old:", "to=new:",
                         'limits:={"rate": "2MiB"}', "--async")
        self.migration = asked["id"]
        self.until("some are there", lambda: self.moved() > 20 and self.moved())
        (self.pool / ".slow").write_text("0.2")
        self.say("the array is slow now")
        self.until("the migration gives way; bytes a second", lambda: self.rate() == 256 << 10 and self.rate())
        self.end("array", signal.SIGKILL)
        self.say("the storage host is gone")
        self.until("the migration waits", lambda: self.status() == "paused")
        self.end("ifso", signal.SIGKILL)
        self.say("and so is Ifso: kill -9")
        self.start_ifso()
        self.until("one mail tells of the outage", lambda: self.mails("storage host"))
        (self.pool / ".slow").unlink()
        self.start_array()
        self.say("the storage host is back, and fast")
        self.until("the migration goes on", lambda: self.status() in ("running", "succeeded"))
        self.until("one mail tells of the recovery", lambda: len(self.mails("storage host")) == 2)
        self.until("the migration is over", lambda: self.status() == "succeeded")

    def looking(self):
        """Nothing missing, nothing doubled, everybody told once."""
        here, there = tree(self.work / "old"), tree(self.work / "new")
        assert here == there, "old/ and new/ differ in %s" % (set(here.items()) ^ set(there.items()))
        self.say("%d objects are the same on both sides, byte by byte" % len(there))
        scaled = [one for one in self.cli("execution", "list", "--action", "storage.scale_pool", "--limit", "50")]
        assert len(scaled) == 1, "the pool was scaled %d times" % len(scaled)
        for about in ["gold-1", "storage host"]:
            assert len(self.mails(about)) == 2, "%d mails about %s" % (len(self.mails(about)), about)
        self.say("one growth, and for each of the two incidents one mail at its beginning and one at its end")

    # ── looking ──────────────────────────────────────────────────────────────────────────────────

    def quota(self):
        return int((self.pool / ".quota").read_text()) >> 20

    def mails(self, about):
        found = (self.work / "mails" / "box" / "new").glob("*")
        subjects = [line for file in found for line in file.read_text().splitlines() if line.startswith("Subject: ")]
        return [subject for subject in subjects if about in subject]

    def moved(self):
        return sum(1 for _ in (self.work / "new").rglob("*.jpg"))

    def rate(self):
        return self.cli("run", "objects.report", "name=photos")["result"]["migrations"][0]["limits"]["rate"]

    def status(self):
        return self.cli("execution", "show", self.migration)["status"]


def tree(folder):
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def main():
    wanted = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    wanted.add_argument("--ifso", default=REPOSITORY / "target" / "debug" / "ifso", type=pathlib.Path)
    wanted.add_argument("--work", default=REPOSITORY / ".missions", type=pathlib.Path, help="emptied first")
    wanted.add_argument("--ports", type=json.loads, default={}, help='{"ifso": 9201} in place of the usual ones')
    wanted.add_argument("--stay", action="store_true")
    wanted.add_argument("--prepare", action="store_true")
    given = wanted.parse_args()
    shutil.rmtree(given.work, ignore_errors=True)
    story = Story(given.ifso.resolve(), given.work.resolve(), {**PORTS, **given.ports})
    if given.prepare:
        return story.prepare()
    taken = [story.address(name) for name in PORTS if story.answers(name)]
    if taken:
        sys.exit("error: something listens on %s already\nhelp: end it, or choose others with --ports" % ", ".join(taken))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    try:
        story.prepare()
        story.start_all()
        story.scaling()
        story.migrating()
        story.looking()
        if given.stay:
            story.say("everything stays up: IFSO_URL=http://%s IFSO_KEY=$(cat %s/data/admin.key); Ctrl-C ends it" % (story.address("ifso"), story.home))
            signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        story.end_all()


if __name__ == "__main__":
    main()
