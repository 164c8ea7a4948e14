"""The journal of an unfinished download: which stretches of the blob are written. Without I/O.

Lines of JSON: first what blob it is of, then ``[start,stop]`` for each stretch, appended when its
bytes are in the file. A journal is read as strictly as it is written, byte for byte: what differs
in anything, by a newer version too, is not understood, and costs a restart. Only the end of its
last line may be missing, since a killed process leaves that.

After a power failure a journal may claim bytes that never reached the disk. It only says what need
not be fetched; that the content is right is for the digest of the whole to tell.
"""

import json
import re
from collections.abc import Iterable

from ...spec import Descriptor

VERSION = 1
MAX_BYTES = 8 << 20
"""Some 300,000 stretches: with one for 4 MiB, those of a terabyte. More is none of ours."""

Ranges = tuple[tuple[int, int], ...]
"""Stretches ``[start, stop)``, sorted, disjoint, and those that touch merged."""

# As `encode_stretch` writes it: no leading zeros, and nothing that takes long to convert.
_STRETCH = re.compile(rb"\[(0|[1-9][0-9]{0,18}),([1-9][0-9]{0,18})\]")


def encode(descriptor: Descriptor, ranges: Iterable[tuple[int, int]] = ()) -> bytes:
    """Return the journal of a blob of which `ranges` are written."""
    head = {"version": VERSION, "digest": descriptor.digest, "size": descriptor.size}
    lines = [json.dumps(head, separators=(",", ":")).encode() + b"\n"]
    lines += (encode_stretch(start, stop) for start, stop in ranges)
    return b"".join(lines)


def encode_stretch(start: int, stop: int) -> bytes:
    """Return the line that says that ``[start, stop)`` is written."""
    return b"[%d,%d]\n" % (start, stop)


def parse(data: bytes, descriptor: Descriptor, *, length: int) -> Ranges:
    """Return what a journal says is written.

    Args:
        data: the journal.
        descriptor: the blob it should be of.
        length: bytes of the unfinished file.

    Returns:
        what can be built upon; nothing if the journal is of another blob, of another version,
        damaged, too long, or claims more than there is.
    """
    head = encode(descriptor)
    if len(data) > MAX_BYTES or not data.startswith(head) or length > descriptor.size:
        return ()
    lines = data[len(head) :].split(b"\n")
    # After the last line end is nothing, or a line that was cut short. A line end after garbage
    # is garbage as well, so the last whole line may be odd too.
    lines.pop()
    found: list[tuple[int, int]] = []
    for number, line in enumerate(lines, start=1):
        match = _STRETCH.fullmatch(line)
        if match is None:
            if number == len(lines):
                break
            return ()
        start, stop = int(match[1]), int(match[2])
        if not start < stop <= length:
            return ()
        found.append((start, stop))
    return merged(found)


def merged(stretches: Iterable[tuple[int, int]]) -> Ranges:
    """Return the stretches sorted, with those merged that touch or overlap."""
    whole: list[tuple[int, int]] = []
    for start, stop in sorted(stretches):
        if whole and start <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(stop, whole[-1][1]))
        else:
            whole.append((start, stop))
    return tuple(whole)
