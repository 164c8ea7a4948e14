"""How fast one large blob is pulled and pushed, beside curl and skopeo, on Debian's registry.

Run it as ``python benchmarks/bench_transfer.py``. curl verifies nothing; we and skopeo do. For us
two times are told: of the whole process, which starts Python and imports the package, and of the
transfer inside it, as a running service sees it. ``--memory`` repeats ours with 8 GiB and tells the
peak memory for both sizes.
"""

import argparse
import hashlib
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import harness
from harness import MIB, Contender

_SETUP = """
import sys, time, resource
from pathlib import Path
import anyio
from ocipkg_async import Client, Descriptor, Digest, FileSource, ArtifactFile
"""
PULL = (
    _SETUP
    + """
async def main():
    async with Client() as client:
        start = time.perf_counter()
        await client.pull(sys.argv[1], Path(sys.argv[2]), overwrite=True)
        print(time.perf_counter() - start)
anyio.run(main)
"""
)
PUSH = (
    _SETUP
    + """
async def main():
    async with Client() as client:
        start = time.perf_counter()
        descriptor = Descriptor(media_type="application/octet-stream", digest=Digest(sys.argv[3]),
                                size=int(sys.argv[4]))
        await client.repository(sys.argv[1]).push(descriptor, FileSource(Path(sys.argv[2])))
        print(time.perf_counter() - start)
anyio.run(main)
"""
)
PUSH_FILE = (
    _SETUP
    + """
async def main():
    async with Client() as client:
        await client.push_files(sys.argv[1], [ArtifactFile(path=Path(sys.argv[2]), title="blob")])
anyio.run(main)
"""
)
CURL_PUSH = """
location=$(curl -fsS -X POST -D - -o /dev/null "http://$1/v2/$2/blobs/uploads/" |
    sed -n 's/^[Ll]ocation: //p' | tr -d '\\r')
curl -fsS -o /dev/null -T "$3" -H 'Content-Type: application/octet-stream' "$location&digest=$4"
"""


@contextmanager
def docker_registry(folder: Path) -> Iterator[str]:
    """Run Debian's registry on a free port; yield its host and port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    config = folder / "registry.yml"
    config.write_text(
        "version: 0.1\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: '{host}'}}\n"
        "log: {level: error, accesslog: {disabled: true}}\n"
    )
    process = subprocess.Popen(["docker-registry", "serve", str(config)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://{host}/v2/").close()
                break
            except OSError:
                time.sleep(0.05)
        yield host
    finally:
        process.terminate()
        process.wait()


def random_file(path: Path, size: int) -> str:
    """Write random bytes; return their digest."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(size // MIB):
            data = os.urandom(MIB)
            digest.update(data)
            file.write(data)
    return f"sha256:{digest.hexdigest()}"


def pull_contenders(host: str, digest: str, out: Path) -> list[Contender]:
    reference = f"{host}/bench/pull:v1"
    found = [
        Contender(
            name="pull",
            command=harness.python(PULL, reference, str(out / "ours")),
            before=lambda: shutil.rmtree(out / "ours", ignore_errors=True),
            inner=True,
        ),
        Contender(
            name="curl -o",
            command=[
                *("curl", "-fsS", "-o", str(out / "curl")),
                f"http://{host}/v2/bench/pull/blobs/{digest}",
            ],
            before=lambda: (out / "curl").unlink(missing_ok=True),
        ),
    ]
    if shutil.which("openssl"):
        pipe = 'curl -fsS "$1" | tee "$2" | openssl dgst -sha256 | grep -q "$3"'
        url = f"http://{host}/v2/bench/pull/blobs/{digest}"
        found.append(
            Contender(
                name="curl, tee and openssl: verified",
                command=["bash", "-c", pipe, "pipe", url, str(out / "tee"), digest[7:]],
                before=lambda: (out / "tee").unlink(missing_ok=True),
            )
        )
    if shutil.which("skopeo"):
        found.append(
            Contender(
                name="skopeo copy",
                command=[
                    *("skopeo", "copy", "-q", "--src-tls-verify=false"),
                    *(f"docker://{reference}", f"dir:{out / 'skopeo'}"),
                ],
                before=lambda: shutil.rmtree(out / "skopeo", ignore_errors=True),
            )
        )
    return found


def push_contenders(host: str, data: Path, digest: str, blob: Path, out: Path) -> list[Contender]:
    def forget() -> None:
        """Remove what the registry has of the blob, so that each push moves it."""
        shutil.rmtree(data / "docker/registry/v2/blobs/sha256" / digest[7:9], ignore_errors=True)
        for repository in ("ours", "curl", "skopeo"):
            shutil.rmtree(
                data / "docker/registry/v2/repositories/bench" / repository, ignore_errors=True
            )

    found = [
        Contender(
            name="push",
            command=harness.python(
                PUSH, f"{host}/bench/ours", str(blob), digest, str(blob.stat().st_size)
            ),
            before=forget,
            inner=True,
        ),
        Contender(
            name="curl -T",
            command=["bash", "-c", CURL_PUSH, "curl", host, "bench/curl", str(blob), digest],
            before=forget,
        ),
    ]
    if shutil.which("skopeo"):
        found.append(
            Contender(
                name="skopeo copy",
                command=[
                    *("skopeo", "copy", "-q", "--dest-tls-verify=false"),
                    *(f"dir:{out / 'skopeo'}", f"docker://{host}/bench/skopeo:v1"),
                ],
                before=forget,
            )
        )
    return found


def measure(work: Path, *, size: int, rounds: int) -> None:
    blob, out = work / "blob", work / "out"
    out.mkdir()
    digest = random_file(blob, size)
    with docker_registry(work) as host:
        subprocess.run(harness.python(PUSH_FILE, f"{host}/bench/pull:v1", str(blob)), check=True)
        results = harness.run(pull_contenders(host, digest, out), rounds=rounds)
        print(f"## Pull of {size // MIB} MiB\n")
        print(harness.table(results, against=["curl -o"]), "\n", flush=True)
        results = harness.run(
            push_contenders(host, work / "data", digest, blob, out), rounds=rounds
        )
        print(f"## Push of {size // MIB} MiB\n")
        print(harness.table(results, against=["curl -T"]), "\n", flush=True)


def memory(work: Path, sizes: list[int]) -> None:
    """Tell the peak memory of one pull and one push for each size."""
    print("## Peak memory\n\n| size MiB | pull MiB | push MiB |\n| ---: | ---: | ---: |")
    for size in sizes:
        folder = work / str(size)
        out = folder / "out"
        out.mkdir(parents=True)
        blob = folder / "blob"
        digest = random_file(blob, size)
        with docker_registry(folder) as host:
            reference = f"{host}/bench/pull:v1"
            subprocess.run(harness.python(PUSH_FILE, reference, str(blob)), check=True)
            pulls = pull_contenders(host, digest, out)[:1]
            pushes = push_contenders(host, folder / "data", digest, blob, out)[:1]
            (pull, *_), (push, *_) = (
                harness.run(one, rounds=1, warm_up=0) for one in (pulls, pushes)
            )
        print(f"| {size // MIB} | {pull.peak_bytes / MIB:.0f} | {push.peak_bytes / MIB:.0f} |")
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size-mib", type=int, default=1024)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    parser.add_argument("--memory", action="store_true", help="peak memory at 1 and 8 GiB instead")
    options = parser.parse_args()
    if not shutil.which("docker-registry") or not shutil.which("curl"):
        sys.exit("docker-registry and curl are needed")
    print(f"Python {platform.python_version()}, {len(os.sched_getaffinity(0))} CPUs.\n")
    with tempfile.TemporaryDirectory(dir=options.folder) as work:
        if options.memory:
            memory(Path(work), [1024 * MIB, 8192 * MIB])
        else:
            measure(Path(work), size=options.size_mib * MIB, rounds=options.rounds)


if __name__ == "__main__":
    main()
