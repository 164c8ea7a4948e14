"""The project's sessions; versions, dependencies and groups are read from pyproject.toml."""

import os
import shutil
import subprocess
from pathlib import Path

import nox
from nox.command import CommandFailed
from packaging.requirements import Requirement
from packaging.version import Version

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)
ROOT = Path(__file__).resolve().parent
PEERS = ROOT / ".peers"

PEERS_FIRST = {"PATH": os.pathsep.join([str(PEERS / "bin"), os.environ["PATH"]])}

# What the tests read beside the package; `tests_wheel` runs them away from the sources.
TEST_INPUTS = ("pyproject.toml", "README.md", "CHANGELOG.md", "noxfile.py", ".ci", "tests")

# Much of a test is waiting for a process or a time limit, so there is one worker more than processors.
# A worker that has none left takes others'.
PARALLEL = ("-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal")

GO_PEERS = {
    "oras": "oras.land/oras/cmd/oras@v1.3.6",
    "crane": "github.com/google/go-containerregistry/cmd/crane@v0.22.1",
    "regctl": "github.com/regclient/regclient/cmd/regctl@v0.11.7",
    "registry": "github.com/distribution/distribution/v3/cmd/registry@v3.1.2",
    "cosign": "github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3",
}
CARGO_PEERS = {
    "ocipkg": "ocipkg-cli@0.4.0",
    "ocipkg-0.2": "ocipkg-cli@0.2.9",  # the last to write and read the first format
}

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "typing", "tests"]
# Also in CI: a Python that is not installed is skipped with a line that says so.
nox.options.error_on_missing_interpreters = False


def show_pyenv_versions() -> None:
    """Let pyenv's launchers start each Python that it has, not only the selected one."""
    if "PYENV_VERSION" in os.environ or not shutil.which("pyenv"):
        return
    listed = subprocess.run(
        ["pyenv", "versions", "--bare"],  # noqa: S607 - as the user's shell finds it
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    newest = {name.rpartition(".")[0]: name for name in listed if name.count(".") == 2}
    wanted = [newest[python] for python in PYTHONS if python in newest]
    if wanted:
        os.environ["PYENV_VERSION"] = ":".join(wanted)


show_pyenv_versions()
# The tests run the command hundreds of times, and would compile the whole package each time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def group(name: str) -> list[str]:
    return list(nox.project.dependency_groups(PYPROJECT, name))


def lowest(requirement: str) -> str:
    """The oldest version that `requirement` allows, under the same marker."""
    parsed = Requirement(requirement)
    bounds = [spec.version for spec in parsed.specifier if spec.operator == ">="]
    extras = f"[{','.join(sorted(parsed.extras))}]" if parsed.extras else ""
    pin = f"{parsed.name}{extras}=={max(bounds, key=Version)}"
    return f"{pin}; {parsed.marker}" if parsed.marker else pin


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff's rules and format."""
    session.install(*group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def typing(session: nox.Session) -> None:
    """Mypy on everything, pyright on what users see."""
    session.install("-e", ".", *group("typing"))
    session.run("mypy")
    session.run("pyright")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """All tests on each Python; arguments after -- go to pytest."""
    session.install("-e", ".", *group("test"))
    session.run("pytest", *PARALLEL, *session.posargs)


@nox.session(python=PYTHONS[0])
def tests_lowest(session: nox.Session) -> None:
    """All tests with the oldest dependencies that the project file allows."""
    # The tools too: a pytest plugin of that age is not made for today's pytest.
    oldest = map(lowest, [*PYPROJECT["project"]["dependencies"], *group("test")])
    session.install("-e", ".", *oldest)
    session.run("pytest", *PARALLEL, *session.posargs)


@nox.session(python=PYTHONS[-1])
def tests_wheel(session: nox.Session) -> None:
    """All tests against the built wheel, where the sources cannot be imported."""
    folder = Path(session.create_tmp()).resolve()
    shutil.rmtree(folder)
    session.install("build", *group("test"))
    session.run("python", "-m", "build", "--wheel", "--outdir", str(folder / "dist"), silent=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    session.run("python", "-c", CHECK_WHEEL, str(wheel))
    reinstall = "--reinstall" if session.venv_backend == "uv" else "--force-reinstall"
    session.install(reinstall, str(wheel))
    for name in TEST_INPUTS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    session.chdir(folder)
    session.run("python", "-c", CHECK_IMPORT)
    session.run("pytest", *PARALLEL, *session.posargs, env=PEERS_FIRST)


CHECK_WHEEL = """
import sys, zipfile
names = zipfile.ZipFile(sys.argv[1]).namelist()
assert "ocipkg_async/py.typed" in names, names
assert all(name.startswith(("ocipkg_async/", "ocipkg_async-")) for name in names), names
assert any(name.endswith("/licenses/LICENSE") for name in names), names
"""
CHECK_IMPORT = """
import ocipkg_async
assert "site-packages" in ocipkg_async.__file__, ocipkg_async.__file__
"""


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """All tests on one Python, and which lines and branches they do not reach."""
    session.install("-e", ".", *group("test"))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session(python=False)
def peers(session: nox.Session) -> None:
    """Build the peer programs that Debian does not have into .peers; arguments choose some."""
    chosen = session.posargs or [*GO_PEERS, *CARGO_PEERS]
    if unknown := set(chosen) - {*GO_PEERS, *CARGO_PEERS}:
        session.error(f"no such peer: {', '.join(sorted(unknown))}")
    failed = []
    for name in chosen:
        try:
            if name in GO_PEERS:
                env = {"GOBIN": str(PEERS / "bin")}
                session.run("go", "install", GO_PEERS[name], env=env, external=True)
            else:
                install_crate(session, name)
        except CommandFailed:
            failed.append(name)
    if failed:
        session.warn(f"not built: {', '.join(failed)}; tests that need them will be skipped")


def install_crate(session: nox.Session, name: str) -> None:
    """Build a crate's programs; those of an old version, such as ``ocipkg-0.2``, end in its number."""
    _, dash, version = name.rpartition("-")
    root = PEERS / name if dash else PEERS
    install = ("cargo", "install", "--locked", "--root", str(root))
    session.run(*install, CARGO_PEERS[name], external=True)
    if dash:
        (PEERS / "bin").mkdir(exist_ok=True)
        for program in (root / "bin").iterdir():
            shutil.copy2(program, PEERS / "bin" / f"{program.stem}-{version}{program.suffix}")


@nox.session
def interop(session: nox.Session) -> None:
    """The tests that need real registries and peer programs, with those of .peers first."""
    session.install("-e", ".", *group("test"))
    session.run("pytest", "-m", "interop", *session.posargs, env=PEERS_FIRST)


@nox.session(default=False)
def conformance(session: nox.Session) -> None:
    """The OCI conformance suites against our own registry, built with Go; arguments choose some."""
    session.install("-e", ".")
    session.run("python", "tests/conformance.py", *session.posargs)


@nox.session(default=False)
def kills(session: nox.Session) -> None:
    """Kill transfers of 1 GiB fifty times each, and cancel small ones at each place; half an hour."""
    session.install("-e", ".", *group("test"))
    files = ("test_kills.py", "test_killed_pushes.py", "test_cancel_everywhere.py")
    session.run(
        "pytest",
        *(f"tests/faults/{file}" for file in files),
        "tests/server/test_kills.py",
        *session.posargs,
        env={
            **PEERS_FIRST,
            "OCIPKG_TEST_KILLS": "50",
            "OCIPKG_TEST_KILL_MIB": "1024",
            "OCIPKG_TEST_CANCEL_ALL": "1",
        },
    )


@nox.session
def bench(session: nox.Session) -> None:
    """Measure beside the peers; what follows -- goes to measure.py, or names programs to run instead."""
    session.install("-e", ".", *group("bench"))
    if session.posargs and all(argument.endswith(".py") for argument in session.posargs):
        for file in session.posargs:
            session.run("python", file)
    else:
        session.run("python", "benchmarks/measure.py", *session.posargs)
