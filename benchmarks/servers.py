"""Servers to measure against, on free loopback ports, ended when their block ends."""

import grp
import json
import os
import pwd
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import trustme

import programs
from harness import environment

START_TIMEOUT_S = 20
STOP_TIMEOUT_S = 10
_SLOW_PROXY = Path(__file__).with_name("slow_proxy.py")

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/log;
{user}
events {{ worker_connections 256; }}
http {{
    log_format bytes '$status $body_bytes_sent $request';
    access_log {folder}/access bytes;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    sendfile on;
    keepalive_requests 100000;
    client_max_body_size 0;
    {limit}
    server {{
        listen {host};
        {serve}
    }}
}}
"""
# Without files between: nginx would write what the slow client has not taken yet to the disk, and
# the disk would be measured. The buffers hold 10 ms of the fastest connection that is measured.
PROXIED = """
        location / {{
            proxy_pass http://{upstream};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_request_buffering off;
            proxy_max_temp_file_size 0;
            proxy_buffer_size 64k;
            proxy_buffers 8 256k;
            proxy_busy_buffers_size 1m;
        }}
"""
STATIC = """
        location ~ ^/v2/.+/blobs/sha256:(?<hex>[0-9a-f]+)$ {{
            alias {files}/$hex;
        }}
"""


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def registry(
    folder: Path, *, program: str = "docker-registry", tls: Mapping[str, Path] | None = None
) -> Iterator[str]:
    """Run a registry on what `folder` holds; yield its host and port.

    Args:
        folder: a folder of its own.
        program: ``docker-registry`` is Debian's 2.8, ``registry`` distribution 3.
        tls: its ``certificate`` and ``key``.
    """
    folder.mkdir(exist_ok=True)
    # Port 0: the kernel picks a free one, and the log says which.
    file = distribution_config(folder, "127.0.0.1:0", tls=tls)
    command = [programs.path(program), "serve", str(file)]
    with running(command, folder) as process:
        found = _wait_for_line(process, folder, r"listening on ([\d.]+:\d+)")
        wait_for_answer(process, folder, found)
        yield found


def distribution_config(folder: Path, host: str, *, tls: Mapping[str, Path] | None = None) -> Path:
    """Write the configuration of either generation of distribution's registry; return its file."""
    config = {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "data")},
            "delete": {"enabled": True},
        },
        "http": {
            "addr": host,
            "secret": "not a secret",
            **({"tls": {name: str(path) for name, path in tls.items()}} if tls else {}),
        },
    }
    file = folder / "config.yml"
    file.write_text(json.dumps(config))  # JSON is YAML
    return file


@contextmanager
def nginx(
    folder: Path,
    *,
    upstream: str | None = None,
    files: Path | None = None,
    limit_rate: str = "",
    host: str | None = None,
) -> Iterator[str]:
    """Run nginx; yield its host and port.

    Args:
        folder: a folder of its own; ``access`` in it tells status and body bytes of each request.
        upstream: the registry that it passes requests on to.
        files: without `upstream`, a folder with blobs, each under the hexadecimal part of its digest.
        limit_rate: what each connection gets a second, as nginx writes it: ``32m``.
        host: where it listens; None takes a free port.
    """
    folder.mkdir(exist_ok=True)
    host = host or free_address()
    user = ""
    if os.geteuid() == 0:
        # As root its workers would change to a user who may not read our files.
        name, group = pwd.getpwuid(0).pw_name, grp.getgrgid(pwd.getpwuid(0).pw_gid).gr_name
        user = f"user {name} {group};"
    config = folder / "nginx.conf"
    config.write_text(
        NGINX.format(
            folder=folder,
            host=host,
            user=user,
            limit=f"limit_rate {limit_rate};" if limit_rate else "",
            serve=PROXIED.format(upstream=upstream) if upstream else STATIC.format(files=files),
        )
    )
    command = [programs.path("nginx"), "-p", str(folder), "-c", str(config)]
    with running([*command, "-e", str(folder / "log")], folder) as process:
        wait_for_answer(process, folder, host)
        yield host


@contextmanager
def slow_proxy(folder: Path, upstream: str, *, delay_ms: int, mib_per_s: float) -> Iterator[str]:
    """Run `slow_proxy.py` before a server; yield its host and port."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, str(_SLOW_PROXY), upstream]
    with running(
        [*command, "--delay-ms", str(delay_ms), "--mib-per-s", str(mib_per_s)], folder
    ) as process:
        yield _wait_for_line(process, folder, r"listening on ([\d.]+:\d+)")


@contextmanager
def certified_registry(folder: Path) -> Iterator[tuple[str, Path]]:
    """Run Debian's registry over TLS; yield its host and port, and the authority to trust."""
    folder.mkdir(exist_ok=True)
    authority = trustme.CA()
    ca_file, certificate, key = (folder / f"{name}.pem" for name in ("ca", "certificate", "key"))
    authority.cert_pem.write_to_path(str(ca_file))
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(key))
    for pem in issued.cert_chain_pems:
        pem.write_to_path(str(certificate), append=True)
    with registry(folder, tls={"certificate": certificate, "key": key}) as host:
        yield host, ca_file


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server, whose output goes to a file in `folder`, until the block ends."""
    # REGISTRY_* and OTEL_* variables would change the registry's configuration.
    env = {**environment(folder), "OTEL_TRACES_EXPORTER": "none"}
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_line(process: subprocess.Popen[bytes], folder: Path, pattern: str) -> str:
    deadline = time.monotonic() + START_TIMEOUT_S
    output = folder / "output"
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(pattern, output.read_text(errors="replace")):
            return found[1]
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} does not listen; it printed:\n{output.read_text()}")


def wait_for_answer(
    process: subprocess.Popen[bytes], folder: Path, host: str, *, pause_s: float = 0.02
) -> None:
    """Return when a server answers, whatever it says."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            # A TLS server answers plain HTTP with status 400, which will do.
            opener.open(f"http://{host}/v2/", timeout=START_TIMEOUT_S).close()
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            time.sleep(pause_s)
            continue
        return
    output = (folder / "output").read_text(errors="replace")
    raise RuntimeError(f"{process.args!r} does not answer; it printed:\n{output}")
