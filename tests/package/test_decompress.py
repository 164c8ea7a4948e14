"""Layers uncompressed: I-41, and bombs that stay small in memory (S-27)."""

import gzip
import io
import itertools
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable

import pytest

from ocipkg_async.errors import InvalidPackageError, LimitExceededError, UnsupportedError
from ocipkg_async.package import UnpackLimits
from ocipkg_async.package.decompress import PIECE_BYTES, open_layer
from ocipkg_async.spec import media_types
from peers import require

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TAR = media_types.OCI_LAYER_TAR
PLAIN = os.urandom(700) * 5000
SKIPPABLE = b"\x52\x2a\x4d\x18\x03\0\0\0abc"
COMPRESSED = {
    "plain": PLAIN,
    "gzip": gzip.compress(PLAIN),
    "gzip members": gzip.compress(PLAIN[:100_000])
    + gzip.compress(b"")
    + gzip.compress(PLAIN[100_000:]),
    "gzip padded": gzip.compress(PLAIN) + bytes(3_000_000),
    "zstd": zstd.compress(PLAIN),
    "zstd frames": zstd.compress(PLAIN[:999]) + SKIPPABLE + zstd.compress(PLAIN[999:]) + SKIPPABLE,
    "zstd after skippable": SKIPPABLE + zstd.compress(PLAIN),
    "zstd padded": zstd.compress(PLAIN) + bytes(100),
}


def read(
    data: bytes, media_type: str = TAR, step: int = PIECE_BYTES, chunk: int = 1 << 30
) -> bytes:
    source = io.BytesIO(data)
    stream = open_layer(lambda wanted: source.read(min(wanted, chunk)), media_type)
    pieces = list(iter(lambda: stream.read(step), b""))
    assert max(map(len, pieces), default=0) <= min(step, PIECE_BYTES)
    assert stream.compressed_bytes == len(data)
    assert stream.uncompressed_bytes == sum(map(len, pieces))
    return b"".join(pieces)


@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize(("step", "chunk"), [(PIECE_BYTES, 1 << 30), (1000, 777), (8 << 20, 65536)])
def test_i41_every_form_is_read_to_its_end(kind: str, step: int, chunk: int) -> None:
    assert read(COMPRESSED[kind], step=step, chunk=chunk) == PLAIN


@pytest.mark.parametrize(
    "media_type",
    [
        media_types.OCI_LAYER_TAR,
        media_types.OCI_LAYER_TAR_GZIP,
        media_types.OCI_LAYER_TAR_ZSTD,
        media_types.OCIPKG_LAYER_TAR_GZIP,
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    ],
)
def test_i41_types_lie_and_first_bytes_decide(media_type: str) -> None:
    for kind in ("plain", "gzip", "zstd"):
        assert read(COMPRESSED[kind], media_type) == PLAIN


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.oci.image.layer.v1.tar+xz",
        "application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
        "application/vnd.cncf.helm.config.v1+json",
    ],
)
def test_i41_unknown_types_are_refused(media_type: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        open_layer(io.BytesIO(PLAIN).read, media_type)
    assert caught.value.hint


@pytest.mark.parametrize("magic", [b"BZh91AY", b"\xfd7zXZ\0", b"\x04\x22\x4d\x18"])
def test_i41_other_compressions_are_named(magic: bytes) -> None:
    with pytest.raises(UnsupportedError, match=r"bzip2|xz|lz4"):
        open_layer(io.BytesIO(magic + PLAIN).read, TAR)


@pytest.mark.parametrize("kind", ["gzip", "gzip members", "zstd"])
def test_a_stream_that_ends_early_is_an_error(kind: str) -> None:
    data = COMPRESSED[kind]
    whole = {len(gzip.compress(PLAIN[:100_000]))}  # after the first member it is a whole stream
    whole.add(len(gzip.compress(PLAIN[:100_000]) + gzip.compress(b"")))
    for end in {*range(4, len(data), 997), *range(len(data) - 12, len(data))} - whole:
        with pytest.raises(InvalidPackageError, match="early"):
            read(data[:end])


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
@pytest.mark.parametrize("garbage", [b"x", b"\0\0x", bytes(2 << 20) + b"\1", b"PK\3\4" * 9])
def test_something_behind_the_end_is_an_error(kind: str, garbage: bytes) -> None:
    with pytest.raises(InvalidPackageError, match="follows"):
        read(COMPRESSED[kind] + garbage)


def test_damage_is_an_error() -> None:
    data = COMPRESSED["gzip"]
    wrong_sum = data[:-8] + bytes(4) + data[-4:]
    wrong_size = data[:-4] + bytes(4)
    frame = zstd.compress(PLAIN, options={zstd.CompressionParameter.checksum_flag: 1})
    wrong_frame = frame[:-1] + bytes([frame[-1] ^ 1])
    for damaged in (wrong_sum, wrong_size, wrong_frame, data[:10] + b"\xff" * 50):
        with pytest.raises(InvalidPackageError, match="damaged"):
            read(damaged)


def test_zstd_windows_are_bounded() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 28}
    compressor = zstd.ZstdCompressor(options=options)
    data = compressor.compress(b"x" * 1000) + compressor.flush()
    with pytest.raises(InvalidPackageError, match="memory"):
        read(data)


def endless(member: bytes) -> Callable[[int], bytes]:
    members = itertools.repeat(member)
    return lambda _: next(members)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_s27_bombs_end_at_the_limits_and_stay_small_in_memory(kind: str) -> None:
    zeros = bytes(8 << 20)
    bomb = gzip.compress(zeros) if kind == "gzip" else zstd.compress(zeros)
    for limits, name in (
        (UnpackLimits(total_bytes=20 << 20), "total_bytes"),
        (UnpackLimits(ratio=900 if kind == "gzip" else 5000), "ratio"),
    ):
        stream = open_layer(endless(bomb), TAR, limits=limits)
        tracemalloc.start()
        try:
            with pytest.raises(LimitExceededError) as caught:
                sum(len(piece) for piece in iter(lambda: stream.read(1 << 30), b""))  # noqa: B023
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert name in (caught.value.hint or "")
        assert peak < 8 << 20


def test_s27_many_tiny_members_are_read_in_linear_work() -> None:
    """Each member costs its own bytes, not those of the piece it lies in."""
    member = gzip.compress(b"a")
    assert read(member * 50_000) == b"a" * 50_000


@pytest.mark.parametrize("piece", [gzip.compress(b""), zstd.compress(b""), SKIPPABLE])
def test_s27_pieces_are_counted_also_when_they_hold_nothing(piece: bytes) -> None:
    limits = UnpackLimits(entries=50)
    for count, fits in ((100, True), (101, False)):
        stream = open_layer(io.BytesIO(piece * count).read, TAR, limits=limits)
        if fits:
            assert stream.read(10) == b""
        else:
            with pytest.raises(LimitExceededError):
                stream.read(10)


def test_what_pigz_and_zstd_write() -> None:
    for command in (["pigz", "-c", "-p2", "-b128"], ["zstd", "-c", "-T2", "--long=27"]):
        require(command[0])
        data = subprocess.run(command, input=PLAIN, check=True, capture_output=True).stdout
        assert read(data) == PLAIN


def test_an_empty_source_is_an_empty_stream() -> None:
    assert read(b"") == b""
