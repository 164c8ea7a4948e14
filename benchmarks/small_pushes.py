"""Pushes many small blobs or manifests at once, over connections that stay open; prints the seconds.

Run by `bench_serve.py`, as ``python small_pushes.py HOST/REPOSITORY blobs|manifests COUNT AT_ONCE``.
"""

import hashlib
import http.client
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

BLOB_BYTES = 16 << 10
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
BINARY = "application/octet-stream"


class Pusher:
    """One connection."""

    def __init__(self, name: str) -> None:
        host, _, self._repository = name.partition("/")
        self._connection = http.client.HTTPConnection(host)

    def blob(self, data: bytes) -> dict[str, object]:
        """Push a blob in two requests, the way that every registry has; return its descriptor."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        begun = self._ask("POST", f"/v2/{self._repository}/blobs/uploads/", b"", BINARY, 202)
        parts = urlsplit(begun)
        query = f"{parts.query}&digest={digest}" if parts.query else f"digest={digest}"
        self._ask("PUT", f"{parts.path}?{query}", data, BINARY, 201)
        return {"mediaType": BINARY, "digest": digest, "size": len(data)}

    def manifest(self, tag: str, data: bytes) -> None:
        self._ask("PUT", f"/v2/{self._repository}/manifests/{tag}", data, MANIFEST, 201)

    def _ask(self, method: str, path: str, body: bytes, media_type: str, status: int) -> str:
        self._connection.request(method, path, body=body, headers={"Content-Type": media_type})
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status != status:
            raise RuntimeError(f"{method} {path}: {answer.status} {said[:500]!r}")
        return answer.headers.get("Location", "")


def manifests(pusher: Pusher, count: int) -> list[tuple[str, bytes]]:
    """Push what manifests need; return tags and manifests, each another."""
    config, layer = pusher.blob(b"{}"), pusher.blob(os.urandom(BLOB_BYTES))
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
    return [
        (f"v{number}", json.dumps({**document, "annotations": {"number": f"{number}"}}).encode())
        for number in range(count)
    ]


def main() -> None:
    name, what = sys.argv[1:3]
    count, at_once = map(int, sys.argv[3:])
    pushers = [Pusher(name) for _ in range(at_once)]
    todo: Iterator[tuple[str, bytes]]
    if what == "manifests":
        todo = iter(manifests(pushers[0], count))
    else:
        todo = iter([("", os.urandom(BLOB_BYTES)) for _ in range(count)])

    def work(pusher: Pusher) -> None:
        for tag, data in todo:
            if tag:
                pusher.manifest(tag, data)
            else:
                pusher.blob(data)

    begin_s = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(work, pushers))
    print(time.perf_counter() - begin_s)


if __name__ == "__main__":
    main()
