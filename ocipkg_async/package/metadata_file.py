"""Annotations and link metadata of a project's TOML: ``ocipkg.toml`` and ``pyproject.toml``.

ocipkg 0.1 and 0.2 read annotations from ``ocipkg.toml``, as nested tables; the table ``link`` is
ours, and theirs to ignore.
"""

import datetime as dt
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ..errors import InvalidDocumentError, NotFoundError, StorageError, storage_errors
from ..native import LinkMetadata
from ..spec import annotations as keys

DEFAULT_FILE = "ocipkg.toml"
PYPROJECT = "pyproject.toml"

_LINK_KEYS = {
    name.replace("_", "-"): name
    for name in ("libraries", "system_libraries", "frameworks", "include", "defines")
}
_PLAIN_TEXT = {"name": keys.TITLE, "version": keys.VERSION, "description": keys.DESCRIPTION}
# Labels of PEP 753, in its normal form.
_URLS = {
    keys.SOURCE: ("source", "repository", "sourcecode", "github"),
    keys.DOCUMENTATION: ("documentation", "docs"),
    keys.URL: ("homepage",),
}
_NO_LETTER = re.compile(r"[^a-z0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectMetadata:
    """What a project's file says of its packages.

    Attributes:
        annotations: in the order of the file.
        link: how they want to be linked; None where nothing is said.
    """

    annotations: dict[str, str]
    link: LinkMetadata | None = None


def read_metadata(path: Path) -> ProjectMetadata:
    """Read ``ocipkg.toml``, or of that name ``pyproject.toml``. Blocking.

    Of ``pyproject.toml`` the table ``project`` gives annotations, and ``tool.ocipkg`` what
    ``ocipkg.toml`` would, which wins.

    Raises:
        NotFoundError: there is no such file.
        InvalidDocumentError: it is not TOML, or a value has a wrong type; the message names file
            and key.
        StorageError: it cannot be read.
    """
    try:
        with storage_errors(f"read {path}"):
            data = path.read_bytes()
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise NotFoundError(f"there is no file {path}", hint="check the path") from error
        raise
    return parse_metadata(data, file=str(path), pyproject=path.name == PYPROJECT)


def parse_metadata(data: bytes, *, file: str, pyproject: bool) -> ProjectMetadata:
    """Read the content of a metadata file.

    Args:
        data: the content.
        file: its name, for errors.
        pyproject: whether it is a ``pyproject.toml``.

    Raises:
        InvalidDocumentError: as `read_metadata`.
    """
    reader = _Reader(file)
    try:
        tree = _toml(data, file)
        return reader.pyproject(tree) if pyproject else reader.ocipkg(tree, "")
    except RecursionError as error:
        raise InvalidDocumentError(f"{file} is nested too deeply") from error


def _toml(data: bytes, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode())
    except ValueError as error:  # not UTF-8, or not TOML
        raise InvalidDocumentError(f"{file} is not valid TOML: {error}") from error


class _Reader:
    """Reads one parsed file; knows its name, for errors."""

    def __init__(self, file: str) -> None:
        self._file = file

    def ocipkg(self, tree: dict[str, Any], where: str) -> ProjectMetadata:
        """Read what ``ocipkg.toml`` holds; `where` is the table it stands in."""
        link = self._link(tree["link"], f"{where}link") if "link" in tree else None
        found: dict[str, str] = {}
        for key, value in tree.items():
            if key == "link":
                continue
            for name, one in _leaves(key, value):
                if name in found:
                    raise self._invalid(where + name, "is given twice")
                found[name] = self._annotation(where, name, one)
        return ProjectMetadata(annotations=found, link=link)

    def pyproject(self, tree: dict[str, Any]) -> ProjectMetadata:
        """Read ``pyproject.toml``."""
        tool = self._table(tree.get("tool", {}), "tool")
        if "project" not in tree and "ocipkg" not in tool:
            raise InvalidDocumentError(
                f"{self._file} has neither a table project nor a table tool.ocipkg",
                hint="name another file, or add one",
            )
        project = self._project(self._table(tree.get("project", {}), "project"))
        own = self.ocipkg(self._table(tool.get("ocipkg", {}), "tool.ocipkg"), "tool.ocipkg.")
        return ProjectMetadata(annotations={**project, **own.annotations}, link=own.link)

    def _project(self, table: dict[str, Any]) -> dict[str, str]:
        """Read the table ``project`` (PEP 621, PEP 639)."""
        found = {
            annotation: self._text(table[key], f"project.{key}")
            for key, annotation in _PLAIN_TEXT.items()
            if key in table
        }
        if licenses := self._license(table.get("license", {})):
            found[keys.LICENSES] = licenses
        people = self._list(table.get("authors", []), "project.authors", self._person)
        if people:
            found[keys.AUTHORS] = ", ".join(people)
        urls: dict[str, str] = {}
        for label, value in self._table(table.get("urls", {}), "project.urls").items():
            urls.setdefault(
                _NO_LETTER.sub("", label.lower()), self._text(value, f"project.urls.{label}")
            )
        for annotation, labels in _URLS.items():
            if url := next((urls[label] for label in labels if label in urls), None):
                found[annotation] = url
        return found

    def _license(self, value: Any) -> str | None:
        if isinstance(value, str):
            return value
        table = self._table(value, "project.license")
        if "text" not in table:
            return None  # a file
        text = self._text(table["text"], "project.license.text").strip()
        return None if "\n" in text else text  # the annotation is an expression, not a whole text

    def _person(self, value: Any, where: str) -> str:
        table = self._table(value, where)
        name, email = (
            self._text(table.get(key, ""), f"{where}.{key}") for key in ("name", "email")
        )
        return f"{name} <{email}>" if name and email else name or email

    def _link(self, value: Any, where: str) -> LinkMetadata:
        found: dict[str, tuple[str, ...]] = {}
        for key, one in self._table(value, where).items():
            if key not in _LINK_KEYS:
                known = ", ".join(_LINK_KEYS)
                raise self._invalid(f"{where}.{key}", "is not known", hint=f"there are {known}")
            found[_LINK_KEYS[key]] = tuple(self._list(one, f"{where}.{key}", self._text))
            try:
                LinkMetadata(**{_LINK_KEYS[key]: found[_LINK_KEYS[key]]})
            except InvalidDocumentError as error:
                what = f"is not right: {error}"
                raise self._invalid(f"{where}.{key}", what, error.hint) from error
        return LinkMetadata(**found)

    def _annotation(self, where: str, name: str, value: Any) -> str:
        if "." not in name:
            raise self._invalid(
                where + name,
                "is no annotation",
                hint="write annotations in tables, such as [org.opencontainers.image]",
            )
        if isinstance(value, dt.datetime) and value.tzinfo is not None:
            return value.isoformat().replace("+00:00", "Z")
        return self._text(value, where + name)

    def _text(self, value: Any, where: str) -> str:
        if isinstance(value, str):
            return value
        raise self._invalid(where, f"is {_kind(value)}, not text", hint="put it in quotes")

    def _table(self, value: Any, where: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return cast("dict[str, Any]", value)
        raise self._invalid(where, f"is {_kind(value)}, not a table")

    def _list(self, value: Any, where: str, read: Callable[[Any, str], str]) -> list[str]:
        if not isinstance(value, list):
            raise self._invalid(where, f"is {_kind(value)}, not a list", hint='write ["one"]')
        return [read(one, f"{where}[{n}]") for n, one in enumerate(value)]  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType]

    def _invalid(self, where: str, what: str, hint: str | None = None) -> InvalidDocumentError:
        return InvalidDocumentError(f"{self._file}: {where} {what}", hint=hint)


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what tables inside tables hold, with dotted names."""
    if not isinstance(value, dict):
        yield name, value
        return
    for key, one in cast("dict[str, Any]", value).items():
        yield from _leaves(f"{name}.{key}", one)


def _kind(value: Any) -> str:
    match value:
        case str():
            return "text"
        case bool():
            return "a truth value"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a date or time without offset"
