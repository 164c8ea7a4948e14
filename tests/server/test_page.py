"""The page for people, over HTTP: what it shows of good, damaged, hostile and very many contents."""

import json
import os
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import anyio
import pytest

from client.trees import make_tree, push_index
from ocipkg_async import Client
from ocipkg_async.package import ArtifactFile
from ocipkg_async.server import Access, EmbeddedRegistry
from ocipkg_async.spec import (
    Descriptor,
    Digest,
    Index,
    Manifest,
    Platform,
    Reference,
    annotations,
    media_types,
)
from peers import find
from server.driving import REPOSITORY, Answer, Driver, Start, manifest, raw_request

PAGE = f"/?repository={REPOSITORY}"


def body(answer: Answer) -> ET.Element:
    """The page's elements; XML's parser refuses what is not closed, escaped or printable."""
    text = answer.body.decode()
    end = "</body>"
    return ET.fromstring(text[text.index("<body>") : text.index(end) + len(end)])  # noqa: S314 - ours


def text(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def rows(answer: Answer) -> list[list[str]]:
    """What the cells of the table's rows say."""
    return [[text(cell) for cell in row] for row in body(answer).iterfind(".//tbody/tr")]


def column(answer: Answer, position: int) -> list[str]:
    return [row[position] for row in rows(answer)]


def commands(answer: Answer) -> list[str]:
    return [text(code) for code in body(answer).iterfind(".//code[@class='copy']")]


def link(answer: Answer, name: str) -> str | None:
    found = [one for one in body(answer).iter("a") if text(one) == name]
    return found[0].get("href") if found else None


def write_repository(root: Path, name: str, entries: list[Descriptor]) -> Path:
    """Write a repository as another tool would, its blobs left out."""
    folder = root.joinpath(*name.split("/"))
    (folder / "blobs" / "sha256").mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_bytes(Index.build(manifests=tuple(entries)).raw)
    return folder


def entry(tag: str, *, media_type: str = media_types.OCI_MANIFEST) -> Descriptor:
    return Descriptor(
        media_type=media_type,
        digest=Digest.of(tag.encode()),
        size=100,
        annotations={annotations.REF_NAME: tag},
    )


async def test_what_a_browser_may_do(driver: Driver) -> None:
    await driver.push_manifest("v1")
    for path in ("/", PAGE, "/?repository=nobody"):
        answer = await driver("GET", path)
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Security-Policy"].startswith(
            "default-src 'none'; style-src 'sha256-"
        )
        head = await driver("HEAD", path)
        assert (head.status, head.body) == (answer.status, b"")
        assert head.headers["Content-Length"] == str(len(answer.body))


async def test_nothing_else_is_a_page(driver: Driver) -> None:
    for path in ("/index.html", "/favicon.ico", "//", "/v1/", "/?repository=.."):
        assert (await driver("GET", path)).status == 404
    assert await driver.code_of("/", "POST") == (405, "UNSUPPORTED")


async def test_empty_registry_says_how_to_push(
    embedded: EmbeddedRegistry, driver: Driver, tmp_path: Path
) -> None:
    shown = commands(await driver("GET", "/"))
    assert shown[-1] == f"ocipkg-async push {embedded.host}/notes:v1 hello.txt"
    await shell("\n".join(shown), tmp_path)
    answer = await driver("GET", "/")
    assert rows(answer) == [["notes", "1", "v1"]]
    assert link(answer, "notes") == "/?repository=notes"


async def test_where_there_are_users_a_login_comes_first(start: Start) -> None:
    access = Access(users={"alice": "secret"}, anonymous_pull=True)
    driver = await start(access=access)
    host = driver.url.removeprefix("http://")
    assert commands(await driver("GET", "/"))[0] == f"ocipkg-async login {host}"


async def test_browser_is_asked_for_the_password(start: Start) -> None:
    driver = await start(access=Access(users={"alice": "secret"}))
    answer = await driver("GET", "/")
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    known = {"Authorization": "Basic YWxpY2U6c2VjcmV0"}
    assert (await driver("GET", "/", headers=known)).status == 200


async def test_one_repository(embedded: EmbeddedRegistry, driver: Driver) -> None:
    notes = {
        annotations.DESCRIPTION: "What it is for",
        annotations.CREATED: "2024-05-17T14:30:00+02:00",
    }
    document = await driver.push_manifest("v1", annotations=notes, layers=("a", "bc"))
    await driver.push_manifest(layers=("no tag",))
    answer = await driver("GET", PAGE)
    ((tag, content, size, digest, _),) = rows(answer)
    assert (tag, size, digest) == ("v1", "5 B", document.digest)
    for words in ("artifact", "What it is for", "vnd.test.artifact", "2 layers", "05-17 12:30 UTC"):
        assert words in content
    name = f"{embedded.host}/{REPOSITORY}"
    assert commands(answer) == [
        f"ocipkg-async pull {name}:v1 -o app",
        f"oras pull --plain-http {name}:v1 -o app",
    ]
    assert link(answer, "All repositories") == "/"
    assert rows(await driver("GET", "/")) == [[REPOSITORY, "1", "v11 manifest without a tag"]]


async def test_index_names_its_platforms(driver: Driver) -> None:
    child = await driver.push_manifest()
    platforms = [Platform(os="linux", architecture=f"cpu{n}") for n in range(8)]
    platforms.append(Platform(os="unknown", architecture="unknown"))
    index = Index.build(
        manifests=tuple(
            Descriptor(
                media_type=child.media_type, digest=child.digest, size=child.size, platform=one
            )
            for one in platforms
        )
    )
    await driver.push_document(index, "v1")
    ((_, content, size, digest, _),) = rows(await driver("GET", PAGE))
    assert content.startswith("image index")
    assert content.endswith("linux/cpu5 and 2 more")
    assert (size, digest) == ("", index.digest)


async def test_signature_says_what_it_signs(driver: Driver) -> None:
    signed = await driver.push_manifest("v1")
    await driver.push_manifest("v1.sig", subject=signed, layers=("signature",))
    content = column(await driver("GET", PAGE), 1)
    assert content[1].endswith(f"refers to {signed.digest}")
    assert "refers to" not in content[0]


@pytest.mark.interop
async def test_commands_do_what_they_say(
    embedded: EmbeddedRegistry, driver: Driver, tmp_path: Path
) -> None:
    """Each form of command, run as it stands, where its program is installed."""
    host, artifact = embedded.host, await driver.push_manifest()
    tree = make_tree(tmp_path / "tree", {"file": b"content"})
    async with Client() as client:
        await push_index(client, f"{host}/a/package:v1", tree, ("linux/amd64", "linux/arm64"))
        await client.pack([tree], f"{host}/a/image:v1", format="ocipkg-v0")
        reference = Reference.parse(f"{host}/a/notes:v1", strict=True)
        await client.push_files(reference, [ArtifactFile(path=tree / "file", title="file")])
    await driver.push_document(Index.build(manifests=(artifact.descriptor,)), "v1")
    tried: dict[str, str] = {}
    for name in ("a/package", "a/image", "a/notes", REPOSITORY):
        for line in commands(await driver("GET", f"/?repository={name}")):
            words = (word for word in line.split() if name.rpartition("/")[2] not in word)
            tried.setdefault(" ".join(words), line)
    assert tried.pop("docker pull")
    assert sorted(tried) == [
        "ocipkg-async copy",
        "ocipkg-async get",
        "ocipkg-async pull -o",
        "oras copy --from-plain-http --to-oci-layout",
        "oras pull --plain-http -o",
        "skopeo copy --all --src-tls-verify=false",
        "skopeo copy --src-tls-verify=false",
    ]
    for line in tried.values():
        program = line.partition(" ")[0]
        if program == "ocipkg-async" or find(program):
            await shell(line, tmp_path)


async def shell(line: str, folder: Path) -> None:
    own = Path(sys.executable).parent
    others = Path(find("oras") or "oras").parent
    path = os.pathsep.join([str(own), str(others), os.environ["PATH"]])
    done = await anyio.run_process(
        ["sh", "-ec", line], cwd=folder, env={**os.environ, "PATH": path}, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stderr.decode()}"


@pytest.mark.parametrize(
    ("sent", "host", "option"),
    [
        ("Host: localhost:81", "localhost:81", ""),
        ("Host: registry.example:5000", "registry.example:5000", " --plain-http"),
        ("Host: registry", "registry:80", " --plain-http"),
        ("Host: a.example\r\nX-Forwarded-Proto: https", "a.example", ""),
        ("Host: localhost\r\nX-Forwarded-Proto: https", "localhost", " --https"),
        ("Host: <script>alert(1)</script>", "", ""),
        ("Host: a.example:99999", "", ""),
        ("Host: a.example/;rm -r x", "", ""),
        ("Host: ", "", ""),
        ("Accept: */*", "", ""),
    ],
)
async def test_commands_have_the_address_that_the_client_used(
    embedded: EmbeddedRegistry, sent: str, host: str, option: str
) -> None:
    version = "1.1" if sent.startswith("Host") else "1.0"
    text = f"GET / HTTP/{version}\r\n{sent}\r\nConnection: close\r\n\r\n"
    answer = (await raw_request(embedded.host, text.encode())).decode()
    assert f"push{option} {host or embedded.host}/notes:v1" in answer
    assert "<script>alert" not in answer


async def test_thousands_of_tags(embedded: EmbeddedRegistry, driver: Driver) -> None:
    """Pages link to each other; the manifests of other pages are not read."""
    tags = [f"build-{n:05}" for n in range(10_000)]
    folder = write_repository(embedded.root, REPOSITORY, [entry(tag) for tag in tags])
    first = await driver("GET", PAGE)
    assert len(first.body) < 100_000
    assert column(first, 0) == tags[:50]
    assert set(column(first, 1)) == {"missing"}
    assert "Tags 1 to 50 of 10,000" in text(body(first))
    following = link(first, "Next page")
    assert following == f"{PAGE.replace('/app', '%2Fapp')}&last=build-00049"
    second = await driver("GET", following)
    assert column(second, 0) == tags[50:100]
    assert link(second, "First page") == PAGE.replace("/app", "%2Fapp")
    end = await driver("GET", f"{PAGE}&last=build-09998")
    assert column(end, 0) == tags[-1:]
    assert link(end, "Next page") is None
    behind = await driver("GET", f"{PAGE}&last=c")
    assert rows(behind) == []
    assert "there are 10,000 in all" in text(body(behind))
    assert rows(await driver("GET", "/")) == [[REPOSITORY, "", "too many tags to be counted here"]]
    (folder / "index.json").write_bytes(Index.build(manifests=(entry("v1"),)).raw)
    assert rows(await driver("GET", "/")) == [[REPOSITORY, "1", "v1"]]


async def test_many_repositories(embedded: EmbeddedRegistry, driver: Driver) -> None:
    names = [f"team/app-{n:03}" for n in range(201)]
    for name in names:
        write_repository(embedded.root, name, [])
    found, path, pages = [], "/", 0
    while path:
        answer = await driver("GET", path)
        found += column(answer, 0)
        path, pages = link(answer, "Next page") or "", pages + 1
    assert found == names
    assert pages == 3
    answer = await driver("GET", "/?repository=team%2Fapp-007")
    assert "This repository has no tags" in text(body(answer))


async def test_damage_is_shown_in_its_row(embedded: EmbeddedRegistry, driver: Driver) -> None:
    """One row says what is wrong, the others are as they would be without it."""
    folder = embedded.root / "team" / "app"
    for tag in ("changed", "fine", "gone", "large"):
        await driver.push_manifest(tag, layers=(tag,))
    long = manifest(annotations={"a": "x" * (1 << 20)})
    await driver.push_blob(b"layer")
    await driver.push_document(long, "large")
    index = json.loads((folder / "index.json").read_bytes())
    for tag, change in (("changed", True), ("gone", False)):
        digest = Digest.of(manifest(layers=(tag,)).raw)
        blob = folder / "blobs" / "sha256" / digest.encoded
        blob.write_bytes(blob.read_bytes()[::-1]) if change else blob.unlink()
    no_manifest = b'{"schemaVersion":2}'
    (folder / "blobs" / "sha256" / Digest.of(no_manifest).encoded).write_bytes(no_manifest)
    for tag, kind, data in (
        ("blob", media_types.OCTET_STREAM, b"layer"),
        ("empty", media_types.OCI_MANIFEST, no_manifest),
        ("fine", media_types.OCI_MANIFEST, no_manifest),
    ):
        index["manifests"].append(
            {
                "mediaType": kind,
                "digest": Digest.of(data),
                "size": len(data),
                "annotations": {annotations.REF_NAME: tag},
            }
        )
    (folder / "index.json").write_text(json.dumps(index))
    answer = await driver("GET", PAGE)
    assert answer.status == 200
    said = {row[0]: row[1] for row in rows(answer)}
    assert said == {
        "blob": "no manifest: application/octet-stream",
        "changed": "damaged: its bytes are not those of its digest",
        "empty": "damaged: it is no manifest",
        "fine": "ambiguous: it stands for 2 manifests",
        "gone": "missing",
        "large": "too large to be shown here",
    }


@pytest.mark.parametrize("content", [b"{}", b"", b"\xff", b'{"schemaVersion":2,"manifests":[{}]}'])
async def test_damaged_layout(embedded: EmbeddedRegistry, driver: Driver, content: bytes) -> None:
    await driver.push_manifest("v1", "good")
    folder = write_repository(embedded.root, REPOSITORY, [])
    (folder / "index.json").write_bytes(content)
    answer = await driver("GET", "/")
    assert answer.status == 200
    damaged = "damaged: its index.json is no image index"
    assert rows(answer) == [["good", "1", "v1"], [REPOSITORY, "", damaged]]
    answer = await driver("GET", PAGE)
    assert damaged in text(body(answer))
    assert str(embedded.root) not in answer.body.decode()


async def test_what_strangers_wrote_is_text(embedded: EmbeddedRegistry, driver: Driver) -> None:
    """Manifests are taken with odd types and annotations, whatever our own client would write."""
    evil = (
        "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;\u202etxt\u2066\x00\n\u200d"
    )
    shown = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;[U+202E]txt[U+2066][U+0000] [U+200D]"
    await driver.push_blob(b"{}")
    await driver.push_blob(b"layer")
    tree = json.loads(manifest().raw)
    tree["artifactType"] = evil
    tree["annotations"] = {annotations.DESCRIPTION: evil, annotations.CREATED: evil}
    tree["layers"][0]["annotations"] = {annotations.TITLE: evil}
    raw = json.dumps(tree).encode()
    document = Manifest.build(config=Descriptor.of(b"{}", "a/b"), layers=())
    # As it is: what is pushed is `raw`, under its own digest.
    answer = await driver(
        "PUT",
        f"/v2/{REPOSITORY}/manifests/v1",
        data=raw,
        headers={"Content-Type": document.media_type},
    )
    assert answer.status == 201
    platform = {"os": evil, "architecture": evil}
    index = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_INDEX,
        "manifests": [
            {
                "mediaType": media_types.OCI_MANIFEST,
                "digest": Digest.of(raw),
                "size": len(raw),
                "platform": platform,
            }
        ],
    }
    answer = await driver(
        "PUT",
        f"/v2/{REPOSITORY}/manifests/v2",
        data=json.dumps(index).encode(),
        headers={"Content-Type": media_types.OCI_INDEX},
    )
    assert answer.status == 201
    answer = await driver("GET", PAGE)
    first, second = column(answer, 1)
    assert first == f"artifact{shown}{shown}{shown}created {shown}"
    assert second == f"image index{shown}/{shown}"
    names = {one.tag for one in body(answer).iter()}
    assert not names & {"script", "img"}
    assert evil not in answer.body.decode()


async def test_long_text_is_cut_and_commands_are_not(
    embedded: EmbeddedRegistry, driver: Driver
) -> None:
    name, tag = "/".join(["n" * 60] * 4), "t" * 128
    await driver.push_manifest(tag, name, annotations={annotations.DESCRIPTION: "x" * 100_000})
    answer = await driver("GET", f"/?repository={name}")
    assert len(answer.body) < 20_000
    assert "x" * 299 + "…" in answer.body.decode()
    assert commands(answer)[0] == f"ocipkg-async pull {embedded.host}/{name}:{tag} -o {'n' * 60}"
    assert rows(answer)[0][0] == tag
    hostile = await driver("GET", "/?repository=" + "%3Cscript%3E" * 500)
    assert hostile.status == 404
    assert len(hostile.body) < 10_000
    assert b"<script" not in hostile.body
