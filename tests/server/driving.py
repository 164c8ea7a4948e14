"""A plain HTTP driver for the embedded registry: requests as written, answers as they came."""

import asyncio
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from ocipkg_async.spec import EMPTY, EMPTY_JSON, Descriptor, Digest, Index, Manifest, media_types
from ocipkg_async.spec.decoding import decode_json

REPOSITORY = "team/app"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer, read to its end."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        return decode_json(self.body, what="answer")

    @property
    def code(self) -> str:
        """Code of the error document."""
        code: str = self.json["errors"][0]["code"]
        return code

    @property
    def location(self) -> str:
        return self.headers["Location"]


class Driver:
    """Sends requests to one registry; URLs are not changed on the way."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def __call__(
        self,
        method: str,
        path: str,
        *,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        if isinstance(data, bytes) and len(data) > 1 << 20:
            data = io.BytesIO(data)  # aiohttp warns of long bytes
        url = URL(path if path.startswith("http") else self.url + path, encoded=True)
        async with self.session.request(
            method, url, data=data, headers=headers, allow_redirects=False
        ) as answer:
            return Answer(status=answer.status, headers=answer.headers, body=await answer.read())

    async def start(self, repository: str = REPOSITORY, query: str = "") -> str:
        """Open an upload; return its Location."""
        answer = await self("POST", f"/v2/{repository}/blobs/uploads/{query}")
        assert answer.status == 202, answer
        return answer.location

    async def push_blob(
        self, data: bytes, repository: str = REPOSITORY, *, algorithm: str = "sha256"
    ) -> Digest:
        digest = Digest.of(data, algorithm)
        location = await self.start(repository)
        answer = await self("PUT", f"{location}?digest={digest}", data=data)
        assert answer.status == 201, answer
        return digest

    async def push_document(
        self, document: Manifest | Index, name: str | None = None, repository: str = REPOSITORY
    ) -> Answer:
        return await self(
            "PUT",
            f"/v2/{repository}/manifests/{name or document.digest}",
            data=document.raw,
            headers={"Content-Type": document.media_type},
        )

    async def push_manifest(
        self, name: str | None = None, repository: str = REPOSITORY, **fields: Any
    ) -> Manifest:
        """Push a manifest with all that it needs."""
        document = manifest(**fields)
        await self.push_blob(EMPTY_JSON, repository)
        for text in fields.get("layers", ("layer",)):
            await self.push_blob(text.encode(), repository)
        answer = await self.push_document(document, name, repository)
        assert answer.status == 201, answer
        return document

    async def pages(self, path: str, member: str) -> list[list[Any]]:
        """Read a list's pages until there is no Link."""
        pages: list[list[Any]] = []
        while len(pages) < 50:
            answer = await self("GET", path)
            assert answer.status == 200, answer
            pages.append(answer.json[member])
            if (link := answer.headers.get("Link")) is None:
                return pages
            match = re.fullmatch(r'<(/.+)>; rel="next"', link)
            assert match is not None, link
            path = match[1]
        raise AssertionError(f"no end: {pages}")

    async def expect_manifest(
        self, name: str, document: Manifest | Index, repository: str = REPOSITORY
    ) -> None:
        """Check that a name leads to exactly this."""
        for method in ("HEAD", "GET"):
            answer = await self(method, manifest_url(name, repository))
            assert answer.status == 200, answer
            # Exactly the type: no charset behind it (C-21).
            assert answer.headers["Content-Type"] == document.media_type
            assert answer.headers["Docker-Content-Digest"] == document.digest
            assert answer.headers["Content-Length"] == str(document.size)
            assert answer.body == (document.raw if method == "GET" else b"")

    async def code_of(self, path: str, method: str = "GET") -> tuple[int, str]:
        answer = await self(method, path)
        return answer.status, answer.code


class Start(Protocol):
    """Starts a registry with options, until the test ends."""

    async def __call__(self, root: Path | None = None, **options: Any) -> Driver: ...


def blob_url(digest: str, repository: str = REPOSITORY) -> str:
    return f"/v2/{repository}/blobs/{digest}"


def referrers_url(digest: str, repository: str = REPOSITORY) -> str:
    return f"/v2/{repository}/referrers/{digest}"


def manifest_url(name: str, repository: str = REPOSITORY) -> str:
    return f"/v2/{repository}/manifests/{name}"


def manifest(
    *,
    layers: Iterable[str] = ("layer",),
    subject: Manifest | Index | None = None,
    artifact_type: str = "application/vnd.test.artifact",
    annotations: dict[str, str] | None = None,
) -> Manifest:
    return Manifest.build(
        config=EMPTY,
        layers=tuple(Descriptor.of(text.encode(), media_types.OCI_LAYER_TAR) for text in layers),
        artifact_type=artifact_type,
        subject=subject.descriptor if subject else None,
        annotations=annotations,
    )


async def raw_request(host: str, text: bytes) -> bytes:
    """Send bytes as they are; return what comes until the connection is closed."""
    address, _, port = host.partition(":")
    reader, writer = await asyncio.open_connection(address, int(port))
    try:
        writer.write(text)
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
