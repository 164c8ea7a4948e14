"""A line that broke a few times and is good again."""

import pytest

from ocipkg_async.registry.download.pace import Pace


@pytest.mark.xfail(
    strict=True,
    reason="with a number that was asked for, each break takes a connection away for good",
)
def test_connections_that_breaks_took_away_come_back() -> None:
    """Three resets in the first seconds of a download of hours leave it one connection."""
    pace = Pace(fixed=4)
    for second in range(3):
        pace.fewer(float(second))
    for second in range(3, 3600):
        pace.moved(10 << 20)
        pace.adjust(float(second), active=pace.target)
    assert pace.target == 4
