"""``index``: what is written before a target, what is printed, and what is refused."""

from pathlib import Path

import pytest

from cli.running import run, run_json
from client.trees import contents, make_tree


@pytest.fixture
def layout(tmp_path: Path) -> str:
    """A layout with the packages one and two."""
    layout = f"oci:{tmp_path / 'layout'}"
    for name in ("one", "two"):
        run("pack", make_tree(tmp_path / name, {"file": name.encode()}), "-o", f"{layout}:{name}")
    return layout


def platforms(target: str) -> list[str]:
    manifests = run_json("inspect", target)["content"]["manifests"]
    return ["/".join(m["platform"].values()) for m in manifests]


def test_platforms_before_targets(layout: str, tmp_path: Path, name: str) -> None:
    made = run("index", f"linux/amd64={layout}:one", f"linux/arm/v7={layout}:two", "-o", name)
    assert made.stdout.strip() == run("resolve", name).stdout.strip()
    got = run("get", name, "--platform", "linux/arm/v7").stdout.removesuffix("\n")
    assert contents(Path(got)) == {"file": b"two"}
    out = tmp_path / "out"
    run("pull", name, "-o", out, "--platform", "x86_64-unknown-linux-musl")
    assert contents(out) == {"file": b"one"}

    archive = tmp_path / "a.tar"
    added = run_json(
        *("index", name, f"aarch64-apple-darwin={layout}:one", "-o", archive),
        *("-t", f"{name}:v2", "-a", "key=value=more"),
    )
    assert added["target"] == str(archive)
    assert added["digest"] == run("resolve", archive).stdout.strip()
    assert run("tags", archive).stdout == f"{name}:v2\n"
    assert platforms(str(archive)) == ["amd64/linux", "arm/linux/v7", "arm64/darwin"]
    assert run_json("inspect", archive)["content"]["annotations"] == {"key": "value=more"}
    again = ("index", f"linux/amd64={layout}:one", "-o", archive)
    assert "--overwrite" in run(*again, code=7).stderr
    run(*again, "-f")
    assert platforms(str(archive)) == ["amd64/linux"]


def test_equals_in_a_path(layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b").mkdir()
    run("copy", f"{layout}:one", "oci-archive:a=b/c=d.tar")
    for number, written in enumerate(
        (
            "linux/amd64=a=b/c=d.tar",
            "linux/amd64=./a=b/c=d.tar",
            f"linux/amd64={tmp_path}/a=b/c=d.tar",
        )
    ):
        run("index", written, "-o", f"{number}.tar")
    # The platform is not known, so the target was found.
    for written in ("./a=b/c=d.tar", f"{tmp_path}/a=b/c=d.tar", "oci-archive:a=b/c=d.tar"):
        failed = run("index", written, "-o", "o.tar", code=2)
        assert "does not say which platform" in failed.stderr
        assert f"linux/amd64={written}" in failed.stderr


@pytest.mark.parametrize("platform", ["amd64", "linux", "a/b/c/d", "linux/", "", "x86_64-none"])
def test_what_is_no_platform(platform: str, layout: str, tmp_path: Path) -> None:
    failed = run("index", f"{platform}={layout}:one", "-o", tmp_path / "o.tar", code=2)
    assert "platform" in failed.stderr
    assert not (tmp_path / "o.tar").exists()


def test_two_for_one_platform(layout: str, tmp_path: Path) -> None:
    sources = (f"linux/amd64={layout}:one", f"x86_64-unknown-linux-gnu={layout}:two")
    failed = run("index", *sources, "-o", tmp_path / "o.tar", code=2)
    assert "two packages for linux/amd64" in failed.stderr
