"""How fast `pack` is, how small its result and how little memory it takes, beside tar and pigz.

Run it as ``python benchmarks/bench_pack.py``. Two inputs: 512 MiB of random bytes in one file,
which no compressor shrinks, and the installation of this Python, some 10,000 real files. Our
time includes starting Python and importing the package.
"""

import argparse
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

import harness
from harness import MIB, Contender

PACK = """
import sys
from pathlib import Path
import anyio
from ocipkg_async.layout import ArchiveWriter
from ocipkg_async.package import Compression, pack

async def main():
    async with ArchiveWriter.open(Path(sys.argv[2])) as store:
        await pack(store, [Path(sys.argv[1])], name="localhost/bench:v1",
                   compression=Compression(algorithm=sys.argv[3]))

anyio.run(main)
"""
RANDOM_BYTES = 512 * MIB


def contenders(source: Path, out: Path) -> list[Contender]:
    found = [
        Contender(
            name="pack",
            command=harness.python(PACK, str(source), str(out / "pack.tar"), "gzip"),
            output=out / "pack.tar",
        ),
        Contender(
            name="pack, zstd",
            command=harness.python(PACK, str(source), str(out / "zstd.tar"), "zstd"),
            output=out / "zstd.tar",
        ),
        Contender(
            name="tar czf",
            command=["tar", "czf", str(out / "tar.tgz"), "-C", str(source), "."],
            output=out / "tar.tgz",
        ),
    ]
    if shutil.which("pigz"):
        threads = len(os.sched_getaffinity(0))
        pipe = f'tar cf - -C "$1" . | pigz -p{threads} > "$2"'
        found.append(
            Contender(
                name=f"tar + pigz -p{threads}",
                command=["sh", "-c", pipe, "sh", str(source), str(out / "pigz.tgz")],
                output=out / "pigz.tgz",
            )
        )
    return found


def write_random(folder: Path) -> Path:
    folder.mkdir()
    with (folder / "random.bin").open("wb") as file:
        for _ in range(RANDOM_BYTES // MIB):
            file.write(os.urandom(MIB))
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    parser.add_argument("--tree", type=Path, default=Path(sys.base_prefix), help="real files")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {len(os.sched_getaffinity(0))} CPUs, median of")
    print(f"{options.rounds} alternating runs.\n")
    with tempfile.TemporaryDirectory(dir=options.folder) as work:
        out = Path(work)
        for title, source in (
            ("512 MiB of random bytes", write_random(out / "random")),
            ("A Python installation", options.tree),
        ):
            results = harness.run(contenders(source, out), rounds=options.rounds)
            against = [r.contender.name for r in results if r.contender.name.startswith("tar")]
            print(f"## {title}\n")
            print(harness.table(results, against=against), "\n", flush=True)


if __name__ == "__main__":
    main()
