"""The public surface: what each package folder lists exists, is in order and is explained."""

import ast
import importlib
import importlib.metadata
import inspect
from pathlib import Path
from types import ModuleType

import pytest

import ocipkg_async

ROOT = Path(ocipkg_async.__path__[0])
PACKAGES = sorted(
    ".".join(("ocipkg_async", *path.parent.relative_to(ROOT).parts))
    for path in ROOT.rglob("__init__.py")
)

# A user can look over this many names; what is rarer lives in the folder of its subject.
MOST_ROOT_NAMES = 40


def order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, as ruff sorts `__all__`."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def own_docstring(value: object) -> str:
    """The docstring written for `value`: not inherited, not made by `dataclass`."""
    if not inspect.isclass(value):
        return value.__doc__ or ""
    text = vars(value).get("__doc__") or ""
    return "" if text.startswith(f"{value.__name__}(") else text


def only_a_docstring(module: ModuleType) -> bool:
    return len(ast.parse(inspect.getsource(module)).body) == 1


@pytest.mark.parametrize("package", PACKAGES)
def test_listed_names_exist_in_order_with_docstrings(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__doc__, "says what the folder is for"
    if only_a_docstring(module):
        return
    assert list(module.__all__) == sorted(set(module.__all__), key=order)
    values = {name: getattr(module, name) for name in module.__all__}
    undocumented = [
        name
        for name, value in values.items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and not own_docstring(value)
    ]
    assert undocumented == []


def test_root_is_small() -> None:
    assert 0 < len(ocipkg_async.__all__) <= MOST_ROOT_NAMES


def test_root_names_are_seen_by_dir() -> None:
    assert set(ocipkg_async.__all__) <= set(dir(ocipkg_async))


def test_star_import_gives_the_listed_names() -> None:
    names: dict[str, object] = {}
    exec("from ocipkg_async import *", names)  # noqa: S102 - our own constant text
    assert set(ocipkg_async.__all__) == names.keys() - {"__builtins__"}


def test_version_is_that_of_the_distribution() -> None:
    assert ocipkg_async.__version__ == importlib.metadata.version("ocipkg-async")
