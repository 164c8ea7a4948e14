"""Pulls and copies of large blobs, so slow that all connections are at work together."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from faults.scene import CONNECTIONS, MINE, PART_BYTES, Content, Scene, attempt, ended
from faulty.faults import Drip
from faulty.when import BLOBS
from ocipkg_async import Client
from ocipkg_async.errors import OCIError

BLOB = "/blobs/sha256:"
IN_FLIGHT = CONNECTIONS * PART_BYTES
"""What is lost at most when everything that is on its way has to be thrown away."""
SLOWLY = Drip(piece=PART_BYTES // 4, interval_s=0.01, when=replace(BLOBS, ranged=True))
"""Ranges so slow that all connections are at work together."""

Move = Callable[[Client, Scene, Content, str], Awaitable[object]]


async def pull(client: Client, scene: Scene, content: Content, _name: str) -> object:
    return await client.pull(scene.through(content.name), scene.out)


async def copy(client: Client, scene: Scene, content: Content, name: str) -> object:
    return await client.copy(scene.through(content.name), scene.around(name))


moves = pytest.mark.parametrize("move", [pull, copy])


async def run(move: Move, scene: Scene, content: Content, name: str = "") -> OCIError | None:
    """Do it with a client of its own."""
    async with scene.client() as client:
        return await attempt(lambda: move(client, scene, content, name))


async def arrived(move: Move, scene: Scene, content: Content, name: str) -> bool:
    """Whether all of it is where it was to go; if not, then nothing is."""
    if move is pull:
        seen = scene.visible()
        assert seen in (MINE, MINE | content.files)
        return seen != MINE
    at = await scene.at(name)
    assert at in (None, content.files)
    ended(scene, name, given_up=0 if at else 1)
    return at is not None
