"""Programs that are not Python packages: find one, or skip the test with its name."""

import os
import shutil
from pathlib import Path

import pytest

__all__ = ["DEBIAN_PROGRAMS", "find", "require"]

DEBIAN_PROGRAMS = frozenset(
    {
        "aarch64-linux-gnu-gcc",
        "cargo",
        "chromedriver",
        "chromium",
        "cmake",
        "curl",
        "docker-registry",
        "g++",
        "gcc",
        "git",
        "htpasswd",
        "make",
        "meson",
        "ninja",
        "pigz",
        "pkg-config",
        "qemu-aarch64",
        "qemu-x86_64",
        "skopeo",
        "umoci",
    }
)
"""What ``.ci/run`` installs: with ``OCIPKG_TEST_REQUIRE=1`` these may not be missing."""

_PEERS = Path(__file__).resolve().parent.parent / ".peers" / "bin"


def find(program: str) -> str | None:
    """The program's path, from what ``nox -s peers`` built or else from PATH."""
    return shutil.which(program, path=str(_PEERS)) or shutil.which(program)


def require(program: str) -> str:
    """The program's path; without it the test is skipped, or fails where CI installs it."""
    found = find(program)
    if found is not None:
        return found
    if program in DEBIAN_PROGRAMS and os.environ.get("OCIPKG_TEST_REQUIRE") == "1":
        pytest.fail(f"{program} is not installed, and OCIPKG_TEST_REQUIRE=1", pytrace=False)
    pytest.skip(f"{program} is not installed")
