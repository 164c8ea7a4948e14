"""The programs that are measured, and how each does the same thing, its natural and its fastest way.

A program that is not installed is left out; `missing` has its name. Those of ``.peers`` come first.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import Contender

_PEERS = Path(__file__).resolve().parent.parent / ".peers" / "bin"
_OURS = str(Path(__file__).with_name("ours.py"))
COMMAND = [sys.executable, "-m", "ocipkg_async"]
"""Ours, as a shell starts it."""

CURL_PUSH = """
location=$(curl -fsS -X POST -D - -o /dev/null "http://$1/v2/$2/blobs/uploads/" |
    sed -n 's/^[Ll]ocation: //p' | tr -d '\\r')
case $location in /*) location=http://$1$location ;; esac
case $location in *\\?*) query=\\& ;; *) query=\\? ;; esac
curl -fsS -o /dev/null -T "$3" -H 'Content-Type: application/octet-stream' "$location${query}digest=$4"
"""
CURL_VERIFIED = 'curl -fsS "$1" | tee "$2" | openssl dgst -sha256 | grep -q "$3"'
# Connections of what sends as fast as it can, to nobody who works on it: what the servers give.
CURL_RANGES = """
part=$(($2 / $3))
for i in $(seq 0 $(($3 - 1))); do
    curl -fsS -o /dev/null -r $((i * part))-$(((i + 1) * part - 1)) "$1" &
    started="$started $!"
done
for pid in $started; do wait $pid || exit 1; done
"""


def find(program: str) -> str | None:
    """The path of a program, from what ``nox -s peers`` built or else from PATH."""
    # Debian installs servers where only root's PATH has them.
    everywhere = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])
    return shutil.which(program, path=str(_PEERS)) or shutil.which(program, path=everywhere)


def path(program: str) -> str:
    """The path of a program that a measurement cannot do without."""
    found = find(program)
    if found is None:
        raise RuntimeError(f"{program} is not installed")
    return found


def installed(contenders: Iterable[Contender]) -> list[Contender]:
    """The contenders whose programs are there."""
    return [contender for contender in contenders if contender.command[0]]


def missing(contenders: Iterable[Contender]) -> list[str]:
    """A line that says which programs are not there, if any."""
    tools = sorted({contender.tool for contender in contenders if not contender.command[0]})
    return [f"Not installed, so not measured: {', '.join(tools)}."] if tools else []


def ours(verb: str, *arguments: str) -> list[str]:
    """What tells the seconds of our library's own work; see `ours.py`."""
    return [sys.executable, _OURS, verb, *arguments]


def tool(name: str, *arguments: str) -> list[str]:
    return [find(name) or "", *arguments]


@dataclass(frozen=True, kw_only=True)
class Blob:
    """One blob in a registry, which is the only layer of an artifact there.

    Attributes:
        host: of the registry, with the port.
        repository: where it is.
        digest: of the blob.
        size: of the blob in bytes.
        ca_file: the authority to trust; None is plain HTTP.
    """

    host: str
    repository: str
    digest: str
    size: int
    ca_file: Path | None = None

    @property
    def reference(self) -> str:
        return f"{self.host}/{self.repository}:v1"

    @property
    def url(self) -> str:
        scheme = "https" if self.ca_file else "http"
        return f"{scheme}://{self.host}/v2/{self.repository}/blobs/{self.digest}"

    @property
    def _trust(self) -> list[str]:
        return ["--ca-file", str(self.ca_file)] if self.ca_file else []

    def our_pulls(
        self, out: Path, *, before: Callable[[], object], connections: Sequence[int] = ()
    ) -> list[Contender]:
        """Ours as command and as library, and the library once for each number of connections."""
        command = [*COMMAND, "pull", "-q", self.reference, "-o", str(out / "command"), *self._trust]
        # This machine's registries are asked in plain HTTP otherwise.
        command += ["--https"] if self.ca_file else []
        library = ours("pull", self.reference, str(out / "library"), *self._trust)
        found = [
            Contender(name="pull", tool="ours", command=command, before=before),
            Contender(name="Client.pull", tool="ours", command=library, before=before, inner=True),
        ]
        found.extend(
            Contender(
                name=f"Client.pull, {number} connection{'s' if number > 1 else ''}",
                tool="ours",
                command=[*library, "--connections", str(number)],
                before=before,
                inner=True,
            )
            for number in connections
        )
        return found

    def curl(self, out: Path, *, before: Callable[[], object]) -> Contender:
        trust = ["--cacert", str(self.ca_file)] if self.ca_file else []
        command = tool("curl", "-fsS", *trust, "-o", str(out / "curl"), self.url)
        return Contender(name="curl -o", tool="curl", command=command, before=before)

    def ceiling(self, *, before: Callable[[], object]) -> Contender:
        """How fast servers and line give the blob away."""
        command = tool("bash", "-c", CURL_RANGES, "ranges", self.url, str(self.size), "16")
        return Contender(
            name="curl, 16 at once, thrown away", tool="ceiling", command=command, before=before
        )

    def aria2(self, out: Path, *, before: Callable[[], object]) -> list[Contender]:
        """The program that people use to get a file over several connections."""
        # By default it allots the file by writing zeros, and takes parts of 20 MiB at least.
        options = ["-q", "-x8", "-s8", "-k1M", "--file-allocation=none", "--allow-overwrite=true"]
        command = tool("aria2c", *options, "-d", str(out), "-o", "aria2", self.url)
        checked = f"--checksum=sha-256={self.digest[7:]}"
        return [
            Contender(name="aria2c -x8 -s8", tool="aria2", command=command, before=before),
            Contender(
                name="aria2c -x8 -s8, verified",
                tool="aria2 verified",
                command=[*command, checked],
                before=before,
            ),
        ]

    def oras(self, out: Path, *, before: Callable[[], object]) -> list[Contender]:
        trust = [*self._trust, "--plain-http=false"] if self.ca_file else ["--plain-http"]
        name = f"{self.host}/{self.repository}@{self.digest}"
        return [
            Contender(
                name="oras pull",
                tool="oras",
                command=tool("oras", "pull", "--no-tty", *trust, "-o", str(out), self.reference),
                before=before,
            ),
            Contender(
                name="oras blob fetch",
                tool="oras",
                command=tool(
                    "oras", "blob", "fetch", "--no-tty", *trust, "-o", str(out / "oras"), name
                ),
                before=before,
            ),
        ]

    def other_pulls(self, out: Path, *, before: Callable[[], object]) -> list[Contender]:
        """What else pulls a blob. Only oras and regctl have a way meant for artifacts."""
        name = f"{self.host}/{self.repository}"
        piped = ["pipe", self.url, str(out / "tee"), self.digest[7:]]
        pipe = tool("bash", "-c", CURL_VERIFIED, *piped) if find("openssl") else [""]
        regctl = tool("regctl", "--host", f"reg={self.host},tls=disabled")
        crane_oci = ["pull", "--format=oci", self.reference, str(out / "crane")]
        return [
            Contender(name="curl, tee and openssl", tool="pipe", command=pipe, before=before),
            Contender(
                name="crane blob",
                tool="crane",
                command=tool("crane", "blob", f"{name}@{self.digest}"),
                stdout=out / "crane",
                before=before,
            ),
            Contender(
                name="crane pull --format=oci",
                tool="crane",
                command=tool("crane", *crane_oci),
                before=before,
            ),
            Contender(
                name="regctl blob get",
                tool="regctl",
                command=[*regctl, "blob", "get", name, self.digest],
                stdout=out / "regctl",
                before=before,
            ),
            Contender(
                name="regctl artifact get",
                tool="regctl",
                command=[*regctl, "artifact", "get", "-o", str(out), self.reference],
                before=before,
            ),
            Contender(
                name="skopeo copy to dir:",
                tool="skopeo",
                command=tool(
                    *("skopeo", "copy", "-q", "--src-tls-verify=false"),
                    *(f"docker://{self.reference}", f"dir:{out / 'skopeo'}"),
                ),
                before=before,
            ),
        ]
