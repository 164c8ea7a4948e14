"""Options, addresses and folders with which a registry does not start, and what it says then."""

from pathlib import Path

import pytest

from ocipkg_async.errors import ConnectError, InvalidArgumentError, StorageError
from ocipkg_async.server import EmbeddedRegistry


@pytest.mark.parametrize(
    "option", [{"port": -1}, {"port": 65536}, {"page_entries": 0}, {"max_uploads": 0}]
)
def test_option_out_of_range(option: dict[str, int]) -> None:
    with pytest.raises(InvalidArgumentError, match=next(iter(option))):
        EmbeddedRegistry(**option)  # type: ignore[arg-type]


async def test_address_of_another_machine_is_no_matter_of_the_port() -> None:
    with pytest.raises(ConnectError) as caught:
        async with EmbeddedRegistry(host="192.0.2.1", insecure_listen=True):  # RFC 5737: nobody's
            pass
    assert caught.value.hint == "choose an address of this machine"
    assert "while attempting" not in str(caught.value)


async def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=str(tmp_path / "file")):
        async with EmbeddedRegistry(tmp_path / "file"):
            pass
