"""Compression: one gzip member, readable by all, with bytes that depend on nothing but the input."""

import gzip
import hashlib
import platform
import random
import subprocess
import sys
import textwrap
import threading
import zlib
from collections.abc import Iterable
from pathlib import Path

import isal
import pytest
from isal import isal_zlib

import peers
from ocipkg_async.errors import InvalidArgumentError
from ocipkg_async.package.compress import BLOCK_BYTES, Compression, compress_to, deflate_block

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# By version of isal, and by its code for a machine: each may compress differently.
GOLDEN_GZIP = {
    ("1.9.1", "x86_64"): "294c12fdc7a78b62cfe12293744bc72aa5924e96b807db15aae0c9d50e00a449",
    ("1.9.1", "aarch64"): "9b5be8387505074887030b76baf8f8dbe5ee97068ed7f6094f1453b0e6a98636",
}
# CPUs without SSE4.2 (before 2008) take isal's portable code, which finds other matches.
CPU_MODELS = ["Nehalem", "Haswell"]


def text(length: int) -> bytes:
    """Bytes that compress, the same on every Python."""
    words = [hashlib.sha256(bytes([n])).digest()[: n % 7 + 2] for n in range(256)]
    order = hashlib.shake_128(b"order").digest(length // 2)
    return b"".join(words[n] for n in order)[:length]


SAMPLE = text(3 * BLOCK_BYTES + 4567)


def compress(compression: Compression, pieces: Iterable[bytes]) -> bytes:
    out: list[bytes] = []
    with compress_to(compression, out.append) as sink:
        for piece in pieces:
            sink.write(piece)
    return b"".join(out)


def cut(data: bytes, sizes: Iterable[int]) -> Iterable[bytes]:
    start = 0
    for size in sizes:
        yield data[start : start + size]
        start += size
    yield data[start:]


def gzipped(level: int | None = None) -> bytes:
    return compress(Compression(level=level), [SAMPLE])


def test_i69_gzip_has_one_digest_for_each_isal_version() -> None:
    actual = hashlib.sha256(gzipped()).hexdigest()
    key = (isal.__version__, platform.machine())
    if key not in GOLDEN_GZIP:
        pytest.skip(f"no digest is known for isal {key}; it is {actual} here")
    assert actual == GOLDEN_GZIP[key]


@pytest.mark.parametrize("model", CPU_MODELS)
def test_i69_the_cpu_does_not_change_bytes(model: str, tmp_path: Path) -> None:
    qemu = peers.require("qemu-x86_64")
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("this Python is not for Linux on x86-64")
    script = textwrap.dedent(
        """
        import hashlib, sys
        from isal import isal_zlib
        data = open(sys.argv[1], "rb").read()
        for level in range(3):
            job = isal_zlib.compressobj(level, wbits=-15, memLevel=3, zdict=data[-32768:])
            out = job.compress(data) + job.flush(isal_zlib.Z_SYNC_FLUSH)
            print(hashlib.sha256(out).hexdigest())
        """
    )
    data = SAMPLE[: 300 << 10]
    (tmp_path / "data").write_bytes(data)
    done = subprocess.run(
        [qemu, "-cpu", model, sys.executable, "-c", script, tmp_path / "data"],
        capture_output=True,
        text=True,
        check=True,
    )
    here = [
        hashlib.sha256(b"".join(deflate_block(data, data[-32768:], level))).hexdigest()
        for level in range(3)
    ]
    assert done.stdout.split() == here


@pytest.mark.parametrize("level", [None, 0, 1, 2, 3, 9])
def test_gzip_is_one_member_that_isal_and_zlib_read(level: int | None) -> None:
    data = gzipped(level)
    assert gzip.decompress(data) == SAMPLE
    for library in (zlib, isal_zlib):
        job = library.decompressobj(wbits=31)
        assert job.decompress(data) == SAMPLE
        assert job.eof
        assert job.unused_data == b""


@pytest.mark.parametrize("program", ["gzip", "pigz"])
def test_gzip_programs_accept_it(program: str, tmp_path: Path) -> None:
    path = tmp_path / "sample.gz"
    path.write_bytes(gzipped())
    subprocess.run([peers.require(program), "-t", path], check=True)


def test_the_header_tells_nothing_of_this_machine() -> None:
    assert gzipped()[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


@pytest.mark.parametrize("algorithm", ["gzip", "zstd", "none"])
def test_the_number_of_threads_does_not_change_bytes(algorithm: str) -> None:
    results = {
        compress(Compression(algorithm=algorithm, threads=threads), [SAMPLE])  # type: ignore[arg-type]
        for threads in (None, 1, 2, 3, 8)
    }
    assert len(results) == 1


@pytest.mark.parametrize("algorithm", ["gzip", "zstd", "none"])
def test_how_the_input_is_cut_does_not_change_bytes(algorithm: str) -> None:
    compression = Compression(algorithm=algorithm)  # type: ignore[arg-type]
    chance = random.Random(1)  # noqa: S311
    cuts = [
        [],
        [1, BLOCK_BYTES, BLOCK_BYTES - 1],
        [0, BLOCK_BYTES, 0, 2 * BLOCK_BYTES],
        [2 * BLOCK_BYTES + 5],
        [chance.randrange(100_000) for _ in range(40)],
    ]
    assert len({compress(compression, cut(SAMPLE, sizes)) for sizes in cuts}) == 1


@pytest.mark.parametrize("length", [0, 1, 32767, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1])
@pytest.mark.parametrize("level", [2, 6])
def test_any_length_survives(length: int, level: int) -> None:
    data = SAMPLE[:length]
    assert gzip.decompress(compress(Compression(level=level), [data])) == data


def test_zstd_is_one_frame(tmp_path: Path) -> None:
    data = compress(Compression(algorithm="zstd"), [SAMPLE])
    job = zstd.ZstdDecompressor()
    assert job.decompress(data) == SAMPLE
    assert job.eof
    assert job.unused_data == b""
    assert zstd.decompress(compress(Compression(algorithm="zstd", level=19), [b"x"])) == b"x"


def test_none_leaves_it_as_it_is() -> None:
    assert compress(Compression(algorithm="none"), [b"a", b"b", b""]) == b"ab"


def test_blocks_cost_less_than_a_hundredth_in_size() -> None:
    whole = isal_zlib.compressobj(2, wbits=31, memLevel=3)
    size = len(whole.compress(SAMPLE) + whole.flush())
    assert len(gzipped()) < size * 1.01


def test_random_bytes_grow_by_less_than_a_thousandth() -> None:
    noise = random.Random(2).randbytes(2 * BLOCK_BYTES)  # noqa: S311
    assert len(compress(Compression(), [noise])) < len(noise) * 1.001


@pytest.mark.parametrize("algorithm", ["gzip", "zstd"])
def test_output_comes_in_pieces_while_input_goes_on(algorithm: str) -> None:
    noise = memoryview(random.Random(3).randbytes(10 * BLOCK_BYTES))  # noqa: S311
    out: list[bytes] = []
    most_behind = 0
    with compress_to(Compression(algorithm=algorithm, threads=2), out.append) as sink:  # type: ignore[arg-type]
        for count in range(40):
            start = count % 10 * BLOCK_BYTES
            sink.write(noise[start : start + BLOCK_BYTES])
            most_behind = max(most_behind, (count + 1) * BLOCK_BYTES - sum(map(len, out)))
    assert most_behind < 32 * BLOCK_BYTES
    # Each piece is a hop between threads.
    assert len(out) <= 42


@pytest.mark.parametrize("place", ["inside", "write"])
def test_threads_end_when_something_fails(place: str) -> None:
    class FullError(Exception): ...

    def write(_data: bytes) -> None:
        if place == "write":
            raise FullError

    before = set(threading.enumerate())
    with (  # noqa: PT012 - leaving the block is what is tested
        pytest.raises(FullError),
        compress_to(Compression(threads=3), write) as sink,
    ):
        for _ in range(20):
            sink.write(SAMPLE)
        raise FullError
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize(
    "options",
    [
        {"algorithm": "xz"},
        {"level": -1},
        {"level": 10},
        {"algorithm": "zstd", "level": 0},
        {"algorithm": "zstd", "level": 23},
        {"algorithm": "none", "level": 1},
        {"threads": 0},
    ],
)
def test_options_outside_their_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidArgumentError):
        Compression(**options)  # type: ignore[arg-type]
