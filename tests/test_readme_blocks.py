"""The reader of README's blocks finds, splits and compares them as it says."""

from pathlib import Path

import pytest

from readme_blocks import Block, blocks, matches, steps

MARKDOWN = """# Title

<!-- test: pull -->
```python
print(1)
```

<!-- not tested: needs the network -->
```sh
ls
```

```text
<!-- test: pull -->
```
<!-- test: pull -->
```console
$ echo localhost:5000
localhost:5000
$ printf 'a\\n\\
> b\\n'
a
b
```
"""


def test_blocks_know_their_comment_and_line() -> None:
    assert [(block.language, block.line, block.test) for block in blocks(MARKDOWN)] == [
        ("python", 5, "pull"),
        ("sh", 10, None),
        ("text", 14, None),
        ("console", 18, "pull"),
    ]


def test_steps_of_a_console_block() -> None:
    found = steps(blocks(MARKDOWN)[-1], python=Path("python"), registry="127.0.0.1:1")
    assert [(step.argv[-1], step.prints) for step in found] == [
        ("echo 127.0.0.1:1", "localhost:5000"),
        ("printf 'a\\n\\\nb\\n'", "a\nb"),
    ]


def test_other_languages_cannot_be_run() -> None:
    block = Block(language="toml", text="", line=3, comment="test: a")
    with pytest.raises(ValueError, match="line 3"):
        steps(block, python=Path("python"), registry="")


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a", "a\n", True),
        ("a", "b", False),
        ("a", "a b", False),
        ("sha256:... done", "sha256:1234 done\n", True),
        ("...", "any\nlines", True),
        ("", "something", False),
        ("(1)", "(1)", True),
        ("NAME  SIZE", "NAME     SIZE", True),
        ("NAME SIZE", "NAME\nSIZE", False),
    ],
)
def test_dots_stand_for_any_text(expected: str, printed: str, *, same: bool) -> None:
    assert matches(expected, printed) is same
