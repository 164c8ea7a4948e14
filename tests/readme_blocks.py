"""The fenced blocks of README.md that are run as tests, found by the comments before them.

A block is run when the line before its fence is ``<!-- test: NAME -->``. Blocks of one name run
in their order in one empty folder, so that a tutorial's later steps find what the earlier ones
made. ``<!-- not tested: REASON -->`` leaves a block out. The language says how a block is run:

- ``python``: as a program.
- ``sh``: as a script that stops at the first failing command.
- ``console``: each line after ``$ `` is a command (``> `` continues it) for a shell of its own,
  and the lines below it are what it prints, on stdout and stderr together; in them ``...``
  stands for any text, and a run of blanks for another, as columns are as wide as names.

`REGISTRY` in a block, and in what it prints, stands for a registry that is running and empty.
"""

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["REGISTRY", "TESTED_LANGUAGES", "Block", "Step", "blocks", "matches", "steps"]

REGISTRY = "localhost:5000"
TESTED_LANGUAGES = frozenset({"python", "sh", "console"})

_SHELL = ("bash", "-euo", "pipefail", "-c")

_BLOCK = re.compile(
    r"(?:^<!-- (?P<comment>[^\n]+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block."""

    language: str
    text: str
    line: int
    comment: str
    """What stands in the comment just before it, or nothing."""

    @property
    def test(self) -> str | None:
        """The name of the test that it is part of."""
        kind, _, name = self.comment.partition(": ")
        return name if kind == "test" else None


def blocks(markdown: str) -> list[Block]:
    return [
        Block(
            language=found["language"],
            text=found["text"],
            line=markdown.count("\n", 0, found.start("text")) + 1,
            comment=found["comment"] or "",
        )
        for found in _BLOCK.finditer(markdown)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command of a console block and what it should print; None when that is not said."""

    argv: tuple[str, ...]
    prints: str | None


def steps(block: Block, *, python: Path, registry: str) -> list[Step]:
    """What to run for `block` with `registry` in the place of `REGISTRY`."""
    start = (str(python), "-W", "error", "-c") if block.language == "python" else _SHELL
    match block.language:
        case "python" | "sh":
            commands: list[tuple[str, str | None]] = [(block.text, None)]
        case "console":
            commands = _session(block.text)
        case other:
            raise ValueError(f"line {block.line}: a {other!r} block cannot be run")
    return [
        Step(argv=(*start, text.replace(REGISTRY, registry)), prints=prints)
        for text, prints in commands
    ]


def _session(text: str) -> list[tuple[str, str | None]]:
    """The commands of a console block, each with what it prints."""
    found: list[tuple[list[str], list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(([line[2:]], []))
        elif line.startswith("> "):
            found[-1][0].append(line[2:])
        else:
            found[-1][1].append(line)
    return [("\n".join(command), "\n".join(printed)) for command, printed in found]


def matches(expected: str, printed: str) -> bool:
    """Whether `printed` is `expected`, where ``...`` stands for any text."""
    wanted, found = (re.sub(r"[ \t]+", " ", text).strip() for text in (expected, printed))
    pattern = ".*".join(map(re.escape, wanted.split("...")))
    return re.fullmatch(pattern, found, re.DOTALL) is not None
