"""Small archives in the layouts of MovieLens, and a server that sends them, cuts them off or sends something else."""

import contextlib
import hashlib
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from skiprec_lite import downloads, movielens

FLAGS = "|".join("1" if genre in ("Drama", "War") else "0" for genre in movielens.GENRES)
LAYOUTS: dict[str, dict[str, bytes]] = {
    "100k": {
        "ml-100k/u.data": b"196\t2\t3\t881250949\n186\t1\t3\t891717742\n196\t1\t5\t881250949\n",
        "ml-100k/u.item": (
            f"1|Misérables, Les (1995)|01-Jan-1995||http://x|{FLAGS}\n2|Sequel III (1995) (V)|||http://x|{FLAGS}\n"
        ).encode("latin-1"),
    },
    "1m": {
        "ml-1m/ratings.dat": b"1::1193::5::978300760\n1::661::3::978302109\n2::1193::4::978298413\n",
        "ml-1m/movies.dat": (
            "661::James: and the: Peach (1996)::Animation|Children's\n1193::Misérables, Les (1995)::Drama\n"
            "9::Nobody rated this (1990)::War\n"
        ).encode("latin-1"),
    },
    "20m": {
        "ml-20m/ratings.csv": b"userId,movieId,rating,timestamp\n1,112,3.5,1094785740\n1,2,4.0,1094785734\n"
        b"138493,112,0.5,1255816373\n",
        "ml-20m/movies.csv": (
            'movieId,title,genres\n2,"American President, The (1995)",Comedy|Drama\n112,Misérables (1998),'
            "(no genres listed)\n"
        ).encode(),
    },
}


def known(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a small archive, and make the package take it for GroupLens' own."""
    path = folder / downloads.ARCHIVES[name].name
    with zipfile.ZipFile(path, "w") as files:
        for inside, content in LAYOUTS[name].items():
            files.writestr(inside, content)
    archive = replace(downloads.ARCHIVES[name], sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setitem(downloads.ARCHIVES, name, archive)
    if name == "100k":
        monkeypatch.setattr(downloads, "RATINGS_SHA256", downloads._hash_of_columns(movielens.read_100k(path)[0]))
    return path


@contextlib.contextmanager
def grouplens(answers: dict[str, bytes], *, cut: bool = False) -> Iterator[str]:
    """Serve these files, path to content; with `cut`, only half of what was announced. Else status 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = answers.get(self.path.strip("/"))
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if cut else content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
