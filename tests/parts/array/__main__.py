#!/usr/bin/env python3
"""A block array that is real and small, behind the calls of SODA's hotpot, and object storage behind gelato's.

    python3 tests/parts/array --folder /tmp/array --listen 127.0.0.1:50040 --zone az1 --zone az2

Each zone has a qemu-storage-daemon, a pool and a host (`host-1` in the first). Volumes are qcow2 images, an
attachment is an NBD export that qemu-io can read and write, a replication is a mirror into the other zone's
daemon. What is created is `creating` until it is there; there is no push, so one has to ask.

For tests: POST /_control/fail, delay, kill, start; GET /_control says what there is. All of it ends with this
program. Standard library only; qemu-utils and qemu-storage-daemon have to be installed.
"""

import sys

sys.dont_write_bytecode = True  # the sources stay as they are

import argparse
import json
import queue
import re
import threading
import traceback
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from gelato import Gelato
from hotpot import Control, Hotpot, Refused
from qsd import Trouble


class Call:
    """One request."""

    def __init__(self, method, target, body):
        parts = urllib.parse.urlsplit(target)
        self.method, self.path, self.body = method, urllib.parse.unquote(parts.path), body
        self.query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        self.text = body.decode("utf-8", "replace")
        try:
            self.json = json.loads(self.text or "{}")
        except ValueError:
            self.json = {}


class Site:
    """All of it, behind one door."""

    def __init__(self, given):
        self.token, self.control = given.token, Control()
        self.hotpot = Hotpot(given.folder, given.zone, given.pool_gb, self.control)
        gelato = Gelato(given.folder, self.control.work, Refused)
        routes = self.routes() + self.hotpot.routes() + gelato.routes()
        self.table = [(method, re.compile(path + r"\Z"), answer) for method, path, answer in routes]
        # Daemons die with the thread that starts them: that has to be the main one.
        self.orders = queue.Queue()
        self.control.delays["*"] = given.delay

    def routes(self):
        return [
            ("GET", "/_control", self.state),
            ("POST", "/_control/fail", lambda call: (200, self.control.failures.append(call.json))),
            ("POST", "/_control/delay", lambda call: (200, self.control.delays.update({call.json["what"]: call.json["seconds"]}))),
            ("POST", "/_control/kill", lambda call: (200, self.hotpot.arrays[call.json["zone"]].kill())),
            ("POST", "/_control/start", self.start),
        ]

    def state(self, call):
        arrays = self.hotpot.arrays
        pids = {zone: array.child.pid for zone, array in arrays.items() if array.alive()}
        counts = {kind: len(rows) for kind, rows in self.hotpot.rows.items()}
        return 200, {"pids": pids, "counts": counts, "changes": self.control.changes, "tokens": sorted(self.control.tokens)}

    def start(self, call):
        done = threading.Event()
        self.orders.put((call.json["zone"], done))
        done.wait()
        return 200, None

    def answer(self, call, token):
        ours = call.path.startswith("/_control")
        if not ours:
            if self.token and token != self.token:
                raise Refused(401, "the token is wrong")
            self.control.tokens.add(token or "")
            if call.method != "GET":
                self.control.changes.append(f"{call.method} {call.path}")
        for method, path, answer in self.table:
            fits = path.match(call.path)
            if fits and method == call.method:
                return answer(call, *fits.groups())
        raise Refused(404, f"{call.method} {call.path}: no such path")


class Door(BaseHTTPRequestHandler):
    """HTTP for a `Site`."""

    protocol_version = "HTTP/1.1"
    site = None

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            code, content = self.site.answer(Call(self.command, self.path, body), self.headers.get("X-Auth-Token"))
        except Refused as error:
            code, content = error.code, {"code": error.code, "message": str(error)}
        except Trouble as error:
            code, content = 500, {"code": 500, "message": str(error)}
        except Exception as error:  # a bug of ours must not look like a dead server
            traceback.print_exc()
            code, content = 500, {"code": 500, "message": f"a bug: {error!r}"}
        kind = "application/xml" if isinstance(content, str) else "application/json"
        if not isinstance(content, bytes):
            content = content.encode() if isinstance(content, str) else b"" if content is None else json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--folder", required=True, help="where images, buckets and sockets are")
    words.add_argument("--listen", default="127.0.0.1:0", help="port 0 takes a free one")
    words.add_argument("--zone", action="append", help="an availability zone; once for each (default: az1 az2)")
    words.add_argument("--pool-gb", type=int, default=100, help="what each pool may hold")
    words.add_argument("--token", help="what X-Auth-Token has to be")
    words.add_argument("--delay", type=float, default=0, help="seconds that everything takes longer")
    given = words.parse_args()
    given.zone = given.zone or ["az1", "az2"]
    Door.site = site = Site(given)
    for array in site.hotpot.arrays.values():
        array.start()
    host, _, port = given.listen.rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), Door)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"ready http://{host}:{server.server_port}", flush=True)
    while True:
        zone, done = site.orders.get()
        try:
            site.hotpot.come_back(zone)
        except Trouble as error:
            print(error, file=sys.stderr, flush=True)
        done.set()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
