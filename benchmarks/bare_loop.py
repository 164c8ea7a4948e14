"""GETs many blobs with nothing but aiohttp, hashes nothing, and prints the seconds that took.

Run by `bench_small.py`, as ``python bare_loop.py HOST/REPOSITORY LIST AT_ONCE``.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import aiohttp


async def fetch_all(repository: str, wanted: list[tuple[str, int]], at_once: int) -> float:
    host, _, name = repository.partition("/")
    rest = iter(wanted)
    connector = aiohttp.TCPConnector(limit=at_once)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def work() -> None:
            for digest, size in rest:
                url = f"http://{host}/v2/{name}/blobs/{digest}"
                async with session.get(url) as response:
                    response.raise_for_status()
                    assert len(await response.read()) == size

        begin_s = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(at_once):
                tasks.create_task(work())
        return time.perf_counter() - begin_s


if __name__ == "__main__":
    listed = json.loads(Path(sys.argv[2]).read_bytes())
    print(asyncio.run(fetch_all(sys.argv[1], listed, int(sys.argv[3]))))
