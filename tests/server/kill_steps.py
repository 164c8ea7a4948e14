"""Requests that a registry is killed in, and what the processes do that are killed."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from server.stepping import (
    CHILDREN,
    INDEX,
    LARGE,
    ONE,
    REFERRER,
    TWO,
    Place,
    Step,
    aged,
    blob,
    collect,
    collect_untagged,
    deleted,
    gone,
    have,
    have_source,
    mount,
    nothing,
    post_blob,
    pushed,
    put_blob,
    put_long_digest,
    send_chunks,
    tagged,
    there,
)
from server.zygote import Killer, driven, say

STEPS = {
    "blob": Step(prepare=have(), act=put_blob, before=there(), after={blob(LARGE): LARGE}),
    "blob into a new repository": Step(prepare=nothing, act=put_blob, after={blob(LARGE): LARGE}),
    "blob by sha512": Step(
        prepare=have(), act=put_long_digest, before=there(), after={blob(LARGE, "sha512"): LARGE}
    ),
    "blob in one request": Step(
        prepare=have(), act=post_blob, before=there(), after={blob(LARGE): LARGE}
    ),
    "blob in chunks": Step(
        prepare=have(), act=send_chunks, before=there(), after={blob(LARGE): LARGE}
    ),
    "mount": Step(
        prepare=have_source,
        act=mount,
        before={f"source/{blob(LARGE)}": LARGE},
        after={blob(LARGE): LARGE},
    ),
    "blob deleted": Step(
        prepare=put_blob,
        act=deleted(blob(LARGE)),
        before={blob(LARGE): LARGE},
        after={blob(LARGE): None},
        once=True,
    ),
    "manifest by tag": Step(
        prepare=have(TWO, tags=("v2",)),
        act=pushed(ONE, "v1"),
        before={**there(TWO), **gone(ONE), **tagged(tags="v2", v2=TWO)},
        after={**there(ONE), **tagged(tags="v1 v2", v1=ONE)},
    ),
    "manifest by digest": Step(prepare=have(), act=pushed(ONE), before=there(), after=there(ONE)),
    "manifest with several tags": Step(
        prepare=have(TWO, tags=("a", "d")),
        act=pushed(ONE, f"{ONE.digest}?tag=a&tag=b&tag=c"),
        before={**there(TWO), **tagged(tags="a d", a=TWO, d=TWO)},
        after={**there(ONE), **tagged(tags="a b c d", a=ONE, b=ONE, c=ONE)},
    ),
    "referrer": Step(
        prepare=have(ONE),
        act=pushed(REFERRER),
        before={**there(ONE), f"referrers/{ONE.digest}": b""},
        after={**there(REFERRER), f"referrers/{ONE.digest}": REFERRER.digest.encode()},
    ),
    "index": Step(
        prepare=have(*CHILDREN),
        act=pushed(INDEX, "all"),
        before={**there(*CHILDREN), **tagged(tags="")},
        after={**there(INDEX), **tagged(tags="all", all=INDEX)},
    ),
    "tag moved": Step(
        prepare=have(ONE, TWO, tags=("v1",)),
        act=pushed(TWO, "v1"),
        before={**there(ONE, TWO), **tagged(tags="v1", v1=ONE)},
        after=tagged(tags="v1", v1=TWO),
    ),
    "tag deleted": Step(
        prepare=have(ONE, tags=("v1", "v2")),
        act=deleted("manifests/v1"),
        before={**there(ONE), **tagged(tags="v1 v2", v1=ONE, v2=ONE)},
        after=tagged(tags="v2", v1=None),
        once=True,
    ),
    "manifest deleted": Step(
        prepare=have(ONE, TWO, REFERRER, tags=("v1", "v2")),
        act=deleted(f"manifests/{ONE.digest}"),
        before={**there(ONE, TWO, REFERRER), **tagged(tags="v1 v2", v1=ONE)},
        after={**gone(ONE), **tagged(tags="", v1=None)},
        once=True,
    ),
    "index deleted": Step(
        prepare=have(*CHILDREN, INDEX),
        act=deleted(f"manifests/{INDEX.digest}"),
        before=there(*CHILDREN, INDEX),
        after=gone(INDEX),
        once=True,
    ),
    "collected": Step(
        prepare=aged(have(ONE, TWO, tags=("v1",))),
        act=collect,
        before={**there(ONE, TWO), **tagged(tags="v1", v1=ONE), blob(LARGE): LARGE},
        after={blob(LARGE): None},
    ),
    "collected without tags": Step(
        prepare=aged(have(ONE, TWO, *CHILDREN, INDEX, REFERRER, tags=("v1",))),
        act=collect_untagged,
        before={**there(ONE, REFERRER, TWO), **tagged(tags="v1", v1=ONE), blob(LARGE): LARGE},
        after={**gone(TWO, *CHILDREN, INDEX), blob(b"two"): None, blob(LARGE): None},
        whole=False,
    ),
}


async def work(arguments: Mapping[str, Any]) -> None:
    """Prepare a step, say so, and do it; the process is killed at the change number ``at``."""
    step = STEPS[arguments["step"]]
    killer = Killer()
    async with driven(Path(arguments["root"])) as (registry, drive):
        place = Place(registry=registry, drive=drive)
        await step.prepare(place)
        say("prepared")
        killer.arm(arguments["at"])
        await step.act(place)
        say("done")
        killer.disarm()
        assert await place.facts(step.after) == step.after


async def start(arguments: Mapping[str, Any]) -> None:
    """Start a registry; the process is killed at the change number ``at``."""
    Killer().arm(arguments["at"])
    async with driven(Path(arguments["root"])):
        pass


async def flush(arguments: Mapping[str, Any]) -> None:
    """Push a blob and a manifest; say what was flushed and renamed, in order, and when it was answered."""
    seen: list[list[str]] = []
    fsync = os.fsync

    def watched(fd: Any) -> None:
        fsync(fd)
        seen.append(["flushed", str(Path(f"/proc/self/fd/{fd}").readlink())])

    def hook(name: str, values: tuple[Any, ...]) -> None:
        if name in {"os.rename", "os.mkdir"}:
            seen.append([name, *(os.fspath(path) for path in values[: 2 - (name == "os.mkdir")])])

    os.fsync = watched
    sys.addaudithook(hook)
    root = arguments["root"]
    async with driven(Path(root) if root else None) as (registry, drive):
        place = Place(registry=registry, drive=drive)
        for act in (have(), put_blob, pushed(ONE, "v1"), deleted("manifests/v1")):
            await act(place)
            seen.append(["answered"])
    say(seen)
