"""When files that have changed are loaded."""

import pytest

from ocipkg_async.server.watching import Settling

OLD, HALF, NEW = ((1,), (2,)), ((3,), (2,)), ((3,), (4,))
GONE = (None, (2,))


@pytest.mark.parametrize(
    ("looks", "loads"),
    [
        ([OLD, OLD, OLD], []),
        # Loaded once, when two looks agree.
        ([NEW, NEW, NEW, NEW], [1]),
        # A certificate whose key comes a little later.
        ([HALF, NEW, NEW, NEW], [2]),
        ([HALF, HALF, NEW, NEW], [1, 3]),
        ([GONE, NEW, NEW], [2]),
        # It was only touched, or put back.
        ([HALF, OLD, OLD], []),
        ([NEW, NEW, OLD, OLD], [1, 3]),
        ([GONE, GONE, GONE], [1]),
    ],
)
def test_files_are_loaded_when_they_have_come_to_rest(
    looks: list[tuple[tuple[int, ...] | None, ...]], loads: list[int]
) -> None:
    settling = Settling(OLD)
    assert [number for number, seen in enumerate(looks) if settling.look(seen)] == loads
