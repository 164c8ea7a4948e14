"""Which packages are too old or too many."""

from pathlib import Path

import pytest

from ocipkg_async.errors import InvalidArgumentError
from ocipkg_async.spec import Descriptor, Platform, Reference, media_types
from ocipkg_async.store import Package
from ocipkg_async.store.retention import Use, beyond, check_retention

NOW_S = 1_000_000.0


def use(text: str, age_s: float, platform: str | None = None) -> Use:
    package = Package(
        reference=Reference.parse(text),
        platform=Platform.parse(platform) if platform else None,
        descriptor=Descriptor.of(text.encode(), media_types.OCI_MANIFEST),
        path=Path(text),
        size=0,
    )
    return Use(package, NOW_S - age_s)


USES = [
    use("example.org/a:new", 1),
    use("example.org/a:older", 200),
    use("example.org/a:oldest", 300),
    use("example.org/b:old", 400),
    use("example.org/b:old", 500, "linux/arm64"),
]


@pytest.mark.parametrize(
    ("older_than_s", "keep", "gone"),
    [
        (None, None, []),
        (None, 1, ["a:older", "a:oldest"]),
        (None, 2, ["a:oldest"]),
        (None, 9, []),
        (250, None, ["a:oldest", "b:old", "b:old"]),
        (300, None, ["b:old", "b:old"]),
        (0, None, ["a:new", "a:older", "a:oldest", "b:old", "b:old"]),
        (250, 1, ["a:oldest"]),
        (1000, 1, []),
    ],
)
def test_what_goes(older_than_s: float | None, keep: int | None, gone: list[str]) -> None:
    found = beyond(USES, now_s=NOW_S, older_than_s=older_than_s, keep=keep)
    assert [str(p.reference) for p in found] == [f"example.org/{text}" for text in gone]


@pytest.mark.parametrize(
    ("older_than_s", "keep"), [(None, 0), (None, -1), (-1, None), (float("nan"), None)]
)
def test_options_out_of_range(older_than_s: float | None, keep: int | None) -> None:
    with pytest.raises(InvalidArgumentError):
        check_retention(older_than_s=older_than_s, keep=keep)
