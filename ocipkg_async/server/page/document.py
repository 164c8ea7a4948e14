"""The pages for people who open the registry in a browser: values in, HTML out; pure."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

from .commands import Address, fetching, first_push
from .markup import Markup, element, join, whole
from .style import STYLE
from .summaries import ContentKind, Part, RepositoryRow, Summary, TagRow

# A cube, drawn in the page: browsers then ask for no /favicon.ico.
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Cpath fill='%232f7de1' d='M8 0l7 4v8l-7 4-7-4V4z'/%3E"
    "%3Cpath fill='none' stroke='%23fff' d='M2 4.6l6 3.4 6-3.4M8 8v7'/%3E%3C/svg%3E"
)


def repositories_page(
    rows: Sequence[RepositoryRow], part: Part, address: Address, *, asks: bool
) -> str:
    """Return the page that lists the repositories.

    Args:
        rows: those of this page.
        part: where in the whole list they are.
        address: where clients reach the registry.
        asks: it asks for a password.
    """
    if part.total == 0:
        body = _welcome(address, asks=asks)
    else:
        cells = [_repository_cells(row) for row in rows]
        body = join(
            _range(part, len(rows), "repository", "repositories"),
            _table("Repositories", "repositories", ("Repository", "Tags", "Tag names"), cells),
            _pages(part, {}),
            element(
                "details",
                element("summary", "How to push"),
                *_copied(first_push(address, asks=asks)),
            ),
        )
    return _document(address.host, body, head=element("p", "OCI registry"))


def repository_page(name: str, rows: Sequence[TagRow], part: Part, address: Address) -> str:
    """Return the page of one repository.

    Args:
        name: its name.
        rows: the tags of this page.
        part: where in the list of all tags they are.
        address: where clients reach the registry.
    """
    if part.total == 0:
        body = element("p", "This repository has no tags.")
    else:
        cells = [_tag_cells(row, name, address) for row in rows]
        heads = ("Tag", "Content", "Size", "Digest", "Fetch it")
        body = join(
            _range(part, len(rows), "tag", "tags"),
            element("p", "A click selects a whole command or digest.", class_="soft"),
            _table(f"Tags of {name}", "tags", heads, cells),
            _pages(part, {"repository": name}),
        )
    return _document(name, body, head=element("p", "on ", address.host), home=True)


def problem_page(title: str, text: str) -> str:
    """Return a page that says why there is nothing to show."""
    return _document(title, element("p", text), home=True)


def _repository_cells(row: RepositoryRow) -> list[Markup]:
    link = element("a", row.name, href="/?" + urlencode({"repository": row.name}))
    if row.problem:
        return [_head(link), _number("Tags"), _cell(_bad(row.problem))]
    rest = f"{_count(row.untagged, 'manifest')} without a tag" if row.untagged else ""
    return [
        _head(link),
        _number("Tags", f"{row.tag_count:,}"),
        _cell(
            _several(row.tags, row.tag_count, ""),
            element("p", rest, class_="soft") if rest else "",
        ),
    ]


def _tag_cells(row: TagRow, name: str, address: Address) -> list[Markup]:
    digest = _digest(row.digest) if row.digest else ""
    summary = row.summary
    if summary is None:
        return [_head(row.tag), _cell(_bad(row.problem)), _number("Size"), _cell(digest), _cell()]
    best, *others = _copied(fetching(summary.kind, address, name, row.tag))
    more = element("details", element("summary", "Other ways"), *others) if others else ""
    return [
        _head(row.tag),
        _cell(*_content(summary), kind="content"),
        _number("Size", "" if summary.size is None else size_text(summary.size)),
        _cell(digest),
        _cell(best, more, kind="commands"),
    ]


def _content(summary: Summary) -> list[Markup]:
    lines = [element("p", element("span", summary.kind.value, class_="kind"))]
    if summary.description:
        lines.append(element("p", element("bdi", summary.description)))
    said = [
        summary.type,
        _several(summary.parts, summary.part_count, _PARTS[summary.kind]),
        join("created ", _time(summary.created)) if summary.created else "",
        join("refers to ", _digest(summary.subject)) if summary.subject else "",
    ]
    lines += [element("p", one, class_="soft") for one in said if one]
    return lines


_PARTS = {
    ContentKind.PACKAGE: "layer",
    ContentKind.IMAGE: "layer",
    ContentKind.ARTIFACT: "layer",
    ContentKind.INDEX: "manifest",
    ContentKind.PACKAGE_INDEX: "platform",
    ContentKind.IMAGE_INDEX: "platform",
}


def _several(names: Sequence[str], count: int, thing: str) -> Markup:
    """Name some of many things, or only count them."""
    if not names:
        return Markup(_count(count, thing) if thing else "")
    shown = join(*(join(", " if at else "", element("bdi", one)) for at, one in enumerate(names)))
    rest = count - len(names)
    return join(shown, f" and {rest:,} more" if rest else "")


def _time(text: str) -> Markup:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            return element("bdi", text)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return element("bdi", text)
    return element("time", f"{moment:%Y-%m-%d %H:%M} UTC", datetime=moment.isoformat())


def _welcome(address: Address, *, asks: bool) -> Markup:
    return element(
        "section",
        element("h2", "Nothing here yet"),
        element("p", "Push the first artifact from a shell; click a line to select it:"),
        *_copied(first_push(address, asks=asks)),
        element("p", "Then load this page again."),
    )


def _range(part: Part, count: int, one: str, many: str) -> Markup:
    if count == part.total:
        return element("p", _count(part.total, one, many), class_="soft")
    if not count:
        return element("p", f"No {many} here; there are {part.total:,} in all", class_="soft")
    last = part.start + count
    return element(
        "p", f"{many.capitalize()} {part.start + 1:,} to {last:,} of {part.total:,}", class_="soft"
    )


def _pages(part: Part, query: dict[str, str]) -> Markup:
    links: list[Markup] = []
    if part.start:
        links.append(
            element("a", "First page", href="/" + ("?" + urlencode(query) if query else ""))
        )
    if part.next is not None:
        following = "/?" + urlencode({**query, "last": part.next})
        links.append(element("a", "Next page", href=following, rel="next"))
    return element("nav", *links, aria_label="Pages") if links else Markup()


def _count(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def size_text(size: int) -> str:
    """Return a size in bytes with three digits or so: ``4.21 MiB``."""
    number, units = float(size), ["PiB", "TiB", "GiB", "MiB", "KiB", "B"]
    while number >= 1024 and len(units) > 1:
        number /= 1024
        units.pop()
    digits = 0 if units[-1] == "B" or number >= 100 else 1 if number >= 10 else 2
    return f"{number:.{digits}f} {units[-1]}"


def _copied(lines: Iterable[str]) -> list[Markup]:
    return [element("code", whole(line), class_="copy") for line in lines]


def _digest(digest: str) -> Markup:
    return element("code", whole(digest), class_="digest")


def _bad(text: str) -> Markup:
    return element("span", text, class_="kind bad")


def _head(name: str) -> Markup:
    return element("th", name, scope="row", role="rowheader")


def _cell(*children: str, kind: str = "") -> Markup:
    return element("td", *children, class_=kind, role="cell")


def _number(name: str, text: str = "") -> Markup:
    return element("td", text, class_="number", data_name=name, role="cell")


def _table(
    caption: str, kind: str, heads: Iterable[str], rows: Iterable[Sequence[Markup]]
) -> Markup:
    """Return a table; roles keep it one for screen readers where narrow screens lay it out otherwise."""
    head = join(
        *(
            element(
                "th",
                one,
                scope="col",
                role="columnheader",
                class_="number" if one in {"Tags", "Size"} else "",
            )
            for one in heads
        )
    )
    return element(
        "table",
        element("caption", caption, class_="hidden"),
        element("thead", element("tr", head, role="row"), role="rowgroup"),
        element("tbody", *(element("tr", *cells, role="row") for cells in rows), role="rowgroup"),
        class_=kind,
        role="table",
    )


def _document(title: str, body: Markup, *, head: str = "", home: bool = False) -> str:
    nav = (
        element("nav", element("a", "All repositories", href="/"), aria_label="Registry")
        if home
        else ""
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{join(title)}</title>
<link rel="icon" href="{_ICON}">
<style>{STYLE}</style>
</head>
<body>
{element("header", nav, element("h1", title), head)}
{element("main", body)}
{element("footer", "Served by ocipkg-async")}
</body>
</html>
"""
