"""Downloads that break off, and go on in a run of another client, under faults in both."""

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from faults.moving import BLOB, IN_FLIGHT, SLOWLY, arrived, pull, run
from faults.scene import PART_BYTES, Content, Place, opened
from faulty.faults import Corrupt, Cut, Refuse
from faulty.when import BLOBS, When
from ocipkg_async.errors import IntegrityError, RegistryError, TransportError


async def test_the_next_run_fetches_only_what_never_came(
    origin: Place, folder: Path, large: Content
) -> None:
    never = Refuse(status=503, when=When(path=BLOB, covers=PART_BYTES * 5 // 2, times=None))
    async with opened(origin, folder, never) as scene:
        error = await run(pull, scene, large)
        assert isinstance(error, RegistryError)
        assert not await arrived(pull, scene, large, "")
        first = scene.brought
        scene.proxy.clear()
        assert await run(pull, scene, large) is None
        assert await arrived(pull, scene, large, "")
        assert scene.brought == large.size - first


@pytest.mark.parametrize("skip", [1, 4, 7])
async def test_a_run_that_breaks_off_and_one_that_goes_on_under_further_faults(
    skip: int, origin: Place, folder: Path, large: Content
) -> None:
    async with opened(
        origin, folder, Cut(at=10_000, how="reset", when=replace(BLOBS, skip=skip))
    ) as scene:
        scene.proxy.inject(Refuse(status=503, when=replace(BLOBS, skip=skip + 1)))
        error = await run(pull, scene, large)
        assert isinstance(error, TransportError | RegistryError)
        assert not await arrived(pull, scene, large, "")
        first = scene.brought
        scene.proxy.clear()
        scene.proxy.inject(Cut(at=10_000, when=replace(BLOBS, times=3)))
        assert await run(pull, scene, large) is None
        assert await arrived(pull, scene, large, "")
        hits = scene.proxy.hits.total()
        assert first + scene.brought <= large.size + (1 + hits) * PART_BYTES


async def test_a_run_that_is_cancelled_and_one_that_goes_on(
    origin: Place, folder: Path, large: Content
) -> None:
    async with opened(origin, folder, SLOWLY) as scene:
        async with scene.client() as client:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(client.pull, scene.through(large.name), scene.out)
                    while scene.brought < large.size // 2:  # noqa: ASYNC110
                        await anyio.sleep(0.001)
                    scope.cancel()
        with anyio.fail_after(20):
            await scene.proxy.settle()
        assert not await arrived(pull, scene, large, "")
        scene.proxy.clear()
        assert await run(pull, scene, large) is None
        assert await arrived(pull, scene, large, "")
        assert scene.brought <= large.size // 2 + IN_FLIGHT


async def test_a_wrong_byte_of_an_earlier_run_is_found_and_fetched_again(
    origin: Place, folder: Path, large: Content
) -> None:
    """It costs the blob once more, in the same run."""
    async with opened(origin, folder, Corrupt(offset=5)) as scene:
        scene.proxy.inject(Cut(at=0, when=replace(BLOBS, skip=4)))
        assert isinstance(await run(pull, scene, large), TransportError)
        assert scene.proxy.hits["corrupt"] == 1
        scene.proxy.clear()
        assert await run(pull, scene, large) is None
        assert await arrived(pull, scene, large, "")
        assert large.size <= scene.brought < 2 * large.size


async def test_wrong_content_leaves_nothing_for_later(
    origin: Place, folder: Path, large: Content
) -> None:
    async with opened(origin, folder, Corrupt(offset=PART_BYTES + 5)) as scene:
        assert isinstance(await run(pull, scene, large), IntegrityError)
        assert not await arrived(pull, scene, large, "")
        scene.proxy.clear()
        assert await run(pull, scene, large) is None
        assert scene.brought == large.size
