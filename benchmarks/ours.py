"""What our library does in the measurements; prints the seconds of the work alone, without starting.

Run by the other programs here, as ``python ours.py pull REF FOLDER``.
"""

import argparse
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio

from ocipkg_async import (
    ArtifactFile,
    Client,
    ClientOptions,
    Descriptor,
    Digest,
    FileSource,
    TransferOptions,
    TransportOptions,
)

Work = Callable[[Client, argparse.Namespace], Awaitable[object]]


async def pull(client: Client, given: argparse.Namespace) -> None:
    await client.pull(given.reference, given.path)


async def push(client: Client, given: argparse.Namespace) -> None:
    """Push a blob whose digest is known, as a service does that keeps them."""
    descriptor = Descriptor(
        media_type="application/octet-stream",
        digest=Digest(given.digest),
        size=given.path.stat().st_size,
    )
    await client.repository(given.reference).push(descriptor, FileSource(given.path))


async def push_files(client: Client, given: argparse.Namespace) -> None:
    """Push a file, or all files of a folder, as an artifact."""
    found = sorted(given.path.iterdir()) if given.path.is_dir() else [given.path]
    files = [ArtifactFile(path=path, title=path.name) for path in found]
    await client.push_files(given.reference, files)


async def copy(client: Client, given: argparse.Namespace) -> None:
    await client.copy(given.reference, given.destination)


async def fetch(client: Client, given: argparse.Namespace) -> None:
    """Fetch many blobs into memory, verified, some at once."""
    repository = client.repository(given.reference)
    listed = await anyio.Path(given.path).read_bytes()
    wanted = iter(
        [
            Descriptor(media_type="application/octet-stream", digest=Digest(digest), size=size)
            for digest, size in json.loads(listed)
        ]
    )

    async def work() -> None:
        for descriptor in wanted:
            async with repository.fetch(descriptor) as reader:
                data = await reader.read_all(max_bytes=descriptor.size)
            assert len(data) == descriptor.size

    async with anyio.create_task_group() as tasks:
        for _ in range(given.at_once):
            tasks.start_soon(work)


async def run(work: Work, given: argparse.Namespace) -> float:
    options = ClientOptions(
        transfer=TransferOptions(connections=given.connections),
        # This machine's registries are asked in plain HTTP otherwise.
        transport=TransportOptions(
            ca_file=given.ca_file, plain_http=False if given.ca_file else None
        ),
    )
    async with Client(options) as client:
        begin_s = time.perf_counter()
        await work(client, given)
        return time.perf_counter() - begin_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--connections", type=int)
    shared.add_argument("--ca-file", type=Path)
    verbs = parser.add_subparsers(required=True)
    arguments: dict[Work, tuple[str, ...]] = {
        pull: ("reference", "path"),
        push: ("reference", "path", "digest"),
        push_files: ("reference", "path"),
        copy: ("reference", "destination"),
        fetch: ("reference", "path", "at_once"),
    }
    types = {"path": Path, "at_once": int}
    for work, names in arguments.items():
        verb = verbs.add_parser(getattr(work, "__name__", "").replace("_", "-"), parents=[shared])
        verb.set_defaults(work=work)
        for name in names:
            verb.add_argument(name, type=types.get(name, str))
    given = parser.parse_args()
    print(anyio.run(run, given.work, given))


if __name__ == "__main__":
    main()
