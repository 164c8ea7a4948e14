"""The architecture: imports point downwards, libraries stay at home, what decides does not wait."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ocipkg_async

ROOT = Path(ocipkg_async.__path__[0])
SOURCES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "_late", "_version"}),
    frozenset({"spec"}),
    frozenset({"events"}),
    frozenset({"content", "transport", "native"}),
    frozenset({"registry", "layout", "copy", "package", "signing"}),
    frozenset({"store"}),
    frozenset({"server"}),
    frozenset({"client"}),
    frozenset({"sync", "cli", "testing"}),
    frozenset({"link"}),
    frozenset({"__init__", "__main__"}),
)
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}

# Each library is seen by the rooms that map its exceptions and types to ours, and by no others.
HOMES: dict[str, frozenset[str]] = {
    "aiohttp": frozenset({"transport", "server"}),
    "multidict": frozenset({"transport", "server"}),
    "yarl": frozenset({"transport", "server"}),
    "bcrypt": frozenset({"server"}),
    "click": frozenset({"cli"}),
    "rich": frozenset({"cli"}),
    "cryptography": frozenset({"signing"}),
    "nacl": frozenset({"signing"}),
    "sigstore": frozenset({"signing"}),
    "pytest": frozenset({"testing"}),
}

# These decide and others act, so that every decision can be tested with plain values.
DECIDING = (
    "errors.py",
    "events.py",
    "spec/*.py",
    "layout/index_file.py",
    "layout/names.py",
    "native/emit/*.py",
    "native/linkage.py",
    "native/machine.py",
    "native/metadata.py",
    "package/entry.py",
    "package/cargo/messages.py",
    "package/cargo/metadata.py",
    "package/cargo/naming.py",
    "package/cargo/options.py",
    "package/cargo/settings.py",
    "package/entry_names.py",
    "package/formats.py",
    "package/index_entries.py",
    "package/layer_plan.py",
    "package/listing.py",
    "package/run_config.py",
    "package/tar_fields.py",
    "package/tar_headers.py",
    "package/whiteouts.py",
    "registry/capabilities.py",
    "registry/download/journal.py",
    "registry/download/pace.py",
    "registry/download/plan.py",
    "registry/options.py",
    "registry/quirks.py",
    "registry/upload/plan.py",
    "registry/upload/session.py",
    "store/retention.py",
    "server/access/options.py",
    "server/access/authorization.py",
    "server/access/exposure.py",
    "server/access/htpasswd.py",
    "server/page/commands.py",
    "server/page/document.py",
    "server/page/markup.py",
    "server/page/summaries.py",
    "server/connections/limits.py",
    "server/paging.py",
    "server/access/permissions.py",
    "server/ranges.py",
    "server/routes.py",
    "server/sessions.py",
    "server/access/tokens.py",
    "store/lock_file.py",
    "transport/auth/challenge.py",
    "transport/auth/need.py",
    "transport/auth/realm.py",
    "transport/auth/refused.py",
    "transport/auth/scope.py",
    "transport/auth/token.py",
    "transport/credentials/docker_config.py",
    "transport/backoff.py",
    "transport/failure.py",
    "transport/redirect.py",
    "transport/responses.py",
    "transport/retry.py",
    "transport/urls.py",
)

_WAITING = (ast.Await, ast.AsyncFor, ast.AsyncWith, ast.AsyncFunctionDef)


def imported(path: Path, tree: ast.AST) -> Iterator[tuple[str, ...]]:
    """Every module or name that `path` imports, wherever in the file, as absolute parts."""
    package = ("ocipkg_async", *path.parts[:-1])
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (tuple(alias.name.split(".")) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = package[: len(package) - level + 1] if level else ()
                base += tuple((module or "").split(".")) if module else ()
                yield from ((*base, alias.name) for alias in names)


def room_of(path: Path) -> str:
    """The folder at the top of the package, or the module at its top."""
    return path.parts[0].removesuffix(".py")


def import_faults(path: Path, tree: ast.AST) -> list[str]:
    own = room_of(path)
    faults = []
    for parts in imported(path, tree):
        dotted = ".".join(parts)
        if parts[0] != "ocipkg_async":
            if own not in HOMES.get(parts[0], {own}):
                faults.append(f"{own} may not use {parts[0]}")
            continue
        room = parts[1] if len(parts) > 1 else ""
        if room not in RANK:
            faults.append(f"{dotted} is the package root, which is for users")
        elif room != own and RANK[room] >= RANK[own]:
            faults.append(f"{own} may not import {dotted}")
    return faults


def printing_faults(path: Path, tree: ast.AST) -> list[str]:
    if room_of(path) in {"cli", "__main__"}:
        return []
    return [
        f"line {node.lineno}: only cli prints"
        for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and node.id == "print")
        or (isinstance(node, ast.Attribute) and ast.unparse(node) in {"sys.stdout", "sys.stderr"})
    ]


def waiting_faults(tree: ast.AST) -> list[str]:
    found = (node for node in ast.walk(tree) if isinstance(node, _WAITING))
    return [f"line {node.lineno}: {type(node).__name__}" for node in found]


def parsed(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_module_keeps_to_its_layer(path: Path) -> None:
    tree = parsed(path)
    assert room_of(path) in RANK, "a new room needs a place in LAYERS"
    assert import_faults(path, tree) == []
    assert printing_faults(path, tree) == []


@pytest.mark.parametrize("pattern", DECIDING)
def test_what_decides_does_not_wait(pattern: str) -> None:
    paths = sorted(ROOT.glob(pattern))
    assert paths, "renamed? put the new name into DECIDING"
    assert {str(path): waiting_faults(parsed(path.relative_to(ROOT))) for path in paths} == {
        str(path): [] for path in paths
    }


@pytest.mark.parametrize(
    ("path", "source", "faulty"),
    [
        ("copy/graph.py", "from ..content import store", False),
        ("copy/graph.py", "from .mount import hints", False),
        ("copy/graph.py", "from ..layout import Layout", True),
        ("copy/graph.py", "import ocipkg_async.client", True),
        ("copy/graph.py", "from ocipkg_async import Client", True),
        ("copy/graph.py", "from .. import errors", False),
        ("copy/graph.py", "from .. import Client", True),
        ("registry/upload/session.py", "from ..urls import blobs", False),
        ("registry/upload/session.py", "from ...layout import Layout", True),
        ("spec/digest.py", "def f():\n    from ..events import Event", True),
        ("spec/digest.py", "if TYPE_CHECKING:\n    from ..events import Event", True),
        ("store/store.py", "import aiohttp", True),
        ("store/store.py", "from aiohttp.web import Response", True),
        ("transport/send.py", "from aiohttp import ClientSession", False),
        ("client/__init__.py", "from ..cli.main import main", True),
        ("__init__.py", "from .client import Client", False),
        ("__main__.py", "from .cli.main import main", False),
    ],
)
def test_faulty_imports_are_seen(path: str, source: str, *, faulty: bool) -> None:
    assert bool(import_faults(Path(path), ast.parse(source))) is faulty


@pytest.mark.parametrize("source", ["print(1)", "sys.stdout.write('')", "f(file=sys.stderr)"])
def test_printing_is_seen(source: str) -> None:
    assert printing_faults(Path("store/store.py"), ast.parse(source))
    assert not printing_faults(Path("cli/output.py"), ast.parse(source))


@pytest.mark.parametrize(
    "source", ["async def f(): pass", "async def f():\n    async with a: await b"]
)
def test_waiting_is_seen(source: str) -> None:
    assert waiting_faults(ast.parse(source))
