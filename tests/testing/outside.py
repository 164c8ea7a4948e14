"""Another project's tests, run as that project runs them."""

import os
import re
import subprocess
import sys
from pathlib import Path


def run_pytest(folder: Path, *arguments: str, **files: str) -> tuple[int, str]:
    """Run pytest on a project of these files; return its status and what it printed.

    No folder of a registry may be left, whatever the tests did.
    """
    temporary = folder / "temporary"
    temporary.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**environment, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    assert list(temporary.glob("oci-*")) == []
    return done.returncode, done.stdout


def outcome(printed: str) -> dict[str, int]:
    """The counts of pytest's last line."""
    last = printed.strip().splitlines()[-1]
    return {word: int(count) for count, word in re.findall(r"(\d+) (passed|failed|errors?)", last)}
