"""What every test gets: a home of its own, a watch on blocking calls, programs or a reason."""

import os
from pathlib import Path

import pytest
from blockbuster import BlockingError

import ocipkg_async
from peers import require

BLOCKING = "import os; found = os.listdir(os.curdir)"


def run_as_if_in(file: Path) -> None:
    exec(compile(BLOCKING, file, "exec"), {})  # noqa: S102 - our own constant text


async def test_blocking_call_of_the_package_in_the_loop_raises() -> None:
    inside = Path(ocipkg_async.__path__[0]) / "store" / "local.py"
    with pytest.raises(BlockingError, match=r"os\.listdir"):
        run_as_if_in(inside)
    run_as_if_in(Path(__file__))


def test_blocking_call_outside_the_loop_is_allowed() -> None:
    run_as_if_in(Path(ocipkg_async.__path__[0]) / "store" / "local.py")


def test_home_is_empty_and_nobody_elses(home: Path) -> None:
    assert Path.home() == home
    assert not list(home.iterdir())
    for name in ("DOCKER_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        assert home in Path(os.environ[name]).parents
    assert "REGISTRY_AUTH_FILE" not in os.environ


@pytest.mark.parametrize(
    ("required", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)]
)
def test_missing_debian_program_is_named(
    required: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("OCIPKG_TEST_REQUIRE", required)
    with pytest.raises(outcome, match="docker-registry"):
        require("docker-registry")


def test_missing_other_program_always_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCIPKG_TEST_REQUIRE", "1")
    with pytest.raises(pytest.skip.Exception, match="no-such-program"):
        require("no-such-program")
