"""A web server on this machine alone, with the bad habits of real ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Server(ThreadingHTTPServer):
    """Serves a folder; what is asked for below ``/dying`` or ``/stalling`` stops halfway."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.requests: list[str] = []
        self.half_sent = threading.Event()
        self.closing = threading.Event()
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))

    def url(self, path: str) -> str:
        """Address of a path."""
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


class _Handler(SimpleHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        habit, _, path = self.path.removeprefix("/").partition("/")
        if habit not in {"dying", "stalling", "page"}:
            super().do_GET()
            return
        content = Path(self.directory, path).read_bytes()
        if habit == "page":
            content = b"<!DOCTYPE html><title>Too many downloads today</title>" + b" " * 200
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content if habit == "page" else content[: len(content) // 2])
        self.wfile.flush()
        self.server.half_sent.set()
        if habit == "stalling":
            self.server.closing.wait()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Serve a folder until the block ends."""
    server = Server(folder)
    # The default of half a second is how long every test would take to end.
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
