"""Sizes, rates, tables and pairs, as people read and write them."""

import json

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocipkg_async.cli.text import (
    count_text,
    json_text,
    part_text,
    printable,
    rate_text,
    size_text,
    table,
    time_text,
)
from ocipkg_async.cli.values import ByteSize, KeyValue


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (1536, "1.50 KiB"),
        (15 << 20, "15.0 MiB"),
        (150 << 30, "150 GiB"),
        (1 << 60, "1024 PiB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


def test_rates_and_counts() -> None:
    assert rate_text(2048, 2) == "1.00 KiB/s"
    assert rate_text(2048, 0) == "-"
    assert (count_text(1, "file"), count_text(2, "file")) == ("1 file", "2 files")
    assert count_text(0, "entry", "entries") == "0 entries"


@pytest.mark.parametrize(
    ("done", "total", "text"),
    [
        (0, 100, "0/100 B"),
        (12 << 20, 128 << 20, "12.0/128 MiB"),
        (5 << 10, 1 << 30, "0.00/1.00 GiB"),
        (1 << 30, 1 << 30, "1.00/1.00 GiB"),
        (200 << 20, 150 << 20, "150/150 MiB"),
        (3 << 20, None, "3.00 MiB"),
        (0, 0, "0/0 B"),
    ],
)
def test_parts_of_a_whole(done: int, total: int | None, text: str) -> None:
    assert part_text(done, total) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00"),
        (0.2, "0:01"),
        (7, "0:07"),
        (59.5, "1:00"),
        (600, "10:00"),
        (7509, "2:05:09"),
        (172_799, "47:59:59"),
        (172_800, "2 d"),
        (1e7, "115 d"),
    ],
)
def test_times_left(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


def test_tables() -> None:
    assert table([("a", "bcd"), ("abc", "")], header=("X", "Y")) == "X    Y\na    bcd\nabc"
    assert table([]) == ""


@given(st.text())
def test_printable_text_has_no_control_characters(text: str) -> None:
    assert printable(text).isprintable()
    assert len(printable(text)) == len(text)


@given(st.dictionaries(st.text(), st.lists(st.text())))
def test_s18_json_is_the_same_value_without_control_characters(value: object) -> None:
    text = json_text(value)
    assert json.loads(text) == value
    assert text.replace("\n", "").isprintable()


def test_s18_json_keeps_what_people_read() -> None:
    shown = json_text({"a": "\u00e9\U0001f600", "b": "\x1b[31m\x9b2J\u202e\x7f\n"})
    assert shown == (
        '{\n  "a": "\u00e9\U0001f600",\n  "b": "\\u001b[31m\\u009b2J\\u202e\\u007f\\n"\n}'
    )


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("65536", 65536),
        ("64K", 65536),
        ("64 KiB", 65536),
        ("8MB", 8 << 20),
        ("1.5g", 3 << 29),
        (" 2T ", 2 << 40),
    ],
)
def test_byte_sizes(text: str, size: int) -> None:
    assert ByteSize().convert(text, None, None) == size
    assert ByteSize().convert(size, None, None) == size


@pytest.mark.parametrize("text", ["", "0", "0.1", "-1", "many", "1KK", "1e9", "K"])
def test_texts_that_are_no_sizes(text: str) -> None:
    with pytest.raises(click.BadParameter):
        ByteSize().convert(text, None, None)


def test_pairs() -> None:
    assert KeyValue().convert("a=b=c", None, None) == ("a", "b=c")
    assert KeyValue().convert("a=", None, None) == ("a", "")
    for text in ("a", "=b", ""):
        with pytest.raises(click.BadParameter):
            KeyValue().convert(text, None, None)
