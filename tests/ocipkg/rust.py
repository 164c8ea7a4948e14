"""The real ocipkg, in its last version of each format, with a store of its own."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from peers import require
from registries import RunningRegistry

TIME_LIMIT_S = 60
V1, V0 = "ocipkg", "ocipkg-0.2"
"""The programs of ocipkg 0.4, which writes V1, and of 0.2, which writes and reads V0 alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rust:
    """One program, and the folder that it takes for the user's data."""

    program: str
    data: Path

    def __call__(self, *arguments: str | Path, cargo: bool = False, cwd: Path | None = None) -> str:
        """Run it, or its cargo command; return what it printed on standard output."""
        name = f"cargo-{self.program}" if cargo else self.program
        command = [require(name), *(["ocipkg"] if cargo else []), *map(str, arguments)]
        done = subprocess.run(
            command,
            cwd=cwd or self.data.parent,  # 0.2 looks for ocipkg.toml there
            env={**os.environ, "XDG_DATA_HOME": str(self.data)},
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def installed(self, name: str) -> dict[str, bytes]:
        """What it has installed under a name, and nothing else, without its own bookkeeping."""
        assert self("list").split() == [name]
        folder = Path(self("image-directory", name).strip())
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and ".oci-dir" not in path.relative_to(folder).parts
        }

    def layout_of(self, name: str) -> Path:
        """The layout that 0.4 keeps beside what it installed."""
        return Path(self("image-directory", name).strip()) / ".oci-dir"


def rust_name(registry: RunningRegistry, repository: str) -> str:
    """A name that ocipkg reaches over plain HTTP, which it speaks to localhost only."""
    return f"{registry.host.replace('127.0.0.1', 'localhost')}/{repository}:v1"
