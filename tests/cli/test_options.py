"""The options that commands share: what they mean, and what is refused."""

from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.running import run
from ocipkg_async.cli.options import client_options
from ocipkg_async.cli.values import ByteRate
from ocipkg_async.client import ClientOptions


def test_what_is_not_given_is_left_to_the_library() -> None:
    given = {"limit_rate": None, "timeout": None, "retries": None, "no_resume": False, "x": 1}
    assert client_options(given) == ClientOptions()
    assert given == {"x": 1}, "what is the command's own stays"


def test_options_of_transfers() -> None:
    options = client_options(
        {
            "limit_rate": 5,
            "connections": 3,
            "part_size": 7,
            "no_resume": True,
            "partial": Path("there"),
            "chunk_size": 9,
            "resume_uploads": True,
            "timeout": 2.5,
            "retries": 0,
        }
    )
    transfer, retry = options.transfer, options.transport.retry
    assert (transfer.connections, transfer.part_bytes, transfer.chunk_bytes) == (3, 7, 9)
    assert (transfer.resume, transfer.partial, transfer.resume_uploads) == (
        False,
        Path("there"),
        True,
    )
    assert options.transport.bytes_per_s == 5
    assert (retry.deadline_s, retry.attempts) == (2.5, 1)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("20M", 20 << 20), ("1.5G", 3 << 29), ("512K", 1 << 19), ("512k/s", 1 << 19), ("1", 1)],
)
def test_rates(text: str, rate: int) -> None:
    assert ByteRate().convert(text, None, None) == rate


@given(st.text(max_size=12))
def test_any_text_is_a_rate_or_an_error_with_an_example(text: str) -> None:
    try:
        assert ByteRate().convert(text, None, None) >= 1
    except click.BadParameter as error:
        assert "20M" in error.message  # noqa: PT017 - most texts are, not all


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--limit-rate", "fast"], "20M"),
        (["--limit-rate", "0"], "20M"),
        (["--limit-rate", "-5M"], "20M"),
        (["--connections", "17"], "16"),
        (["--connections", "0"], "1<=x<=16"),
        (["--part-size", "0"], "at least one byte"),
        (["--part-size", "2G"], "more than 1.00 GiB"),
        (["--timeout", "0"], "x>0"),
        (["--timeout", "nan"], "positive"),
        (["--retries", "-1"], "x>=0"),
    ],
)
def test_values_that_make_no_sense_are_refused(args: list[str], says: str, tmp_path: Path) -> None:
    result = run("pull", "localhost:1/a:v1", "-o", tmp_path / "out", *args, code=2)
    assert says in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "out").exists()


MOVING = {"--limit-rate"}
DOWNLOADING = {*MOVING, "--connections", "--part-size", "--no-resume"}
UPLOADING = {*MOVING, "--chunk-size"}


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("pull", {*DOWNLOADING, "--partial"}),
        ("get", DOWNLOADING),
        ("save", DOWNLOADING),
        ("push", {*UPLOADING, "--resume"}),
        ("copy", {*DOWNLOADING, *UPLOADING, "--resume"}),
        ("pack", UPLOADING),
        ("tags", set[str]()),
    ],
)
def test_commands_have_the_options_that_they_can_use(command: str, options: set[str]) -> None:
    text = run(command, "--help").stdout
    for option in (*DOWNLOADING, *UPLOADING, "--partial", "--resume"):
        assert (f"  {option} " in text) == (option in options), option
    assert "  --timeout " in text
    assert "  --retries " in text


def test_help_has_sections() -> None:
    text = run("copy", "--help").stdout
    titles = ["\nOptions:\n", "\nTransfer options:\n", "\nRegistry options:\n"]
    assert [text.count(title) for title in titles] == [1, 1, 1]
    own, transfer, registry = (text.index(title) for title in titles)
    assert own < text.index("--deep") < text.index("--json") < text.index("--help") < transfer
    assert transfer < text.index("--limit-rate") < registry < text.index("--authfile")


@pytest.mark.parametrize("more", [[], ["--limit-rate", "1G", "--connections", "2", "--no-resume"]])
def test_transfers_with_them_bring_the_same(
    more: list[Any], tree: Path, tmp_path: Path, name: str
) -> None:
    run("pack", tree, "-o", f"{name}:v1", "--limit-rate", "1G", "--retries", "1")
    out = tmp_path / "out"
    run("pull", f"{name}:v1", "-o", out, *more)
    assert sorted(path.name for path in out.iterdir()) == sorted(p.name for p in tree.iterdir())
