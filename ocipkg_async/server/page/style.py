"""The style of the page for people: light and dark, wide and narrow, nothing from elsewhere."""

import base64
import hashlib

STYLE = """
:root {
  color-scheme: light dark;
  --back: #fff; --fore: #1c2126; --soft: #59636e; --line: #d8dee4; --raised: #f4f6f8;
  --link: #0a58b8; --bad: #a4242b; --bad-back: #fdf0f0; --mark: #e6effa;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #14181d; --fore: #e4e8ec; --soft: #9aa5b1; --line: #303841; --raised: #1d232a;
    --link: #7ab5ff; --bad: #ff9c9c; --bad-back: #33191c; --mark: #1d2c40;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 78rem; padding: 0 1.25rem 2rem; background: var(--back);
  color: var(--fore); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere;
}
header { padding: 1.5rem 0 1rem; border-bottom: 1px solid var(--line); margin-bottom: 1.5rem; }
header p { margin: 0; color: var(--soft); }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.125rem; margin: 0 0 .5rem; }
a { color: var(--link); text-underline-offset: .15em; }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
code { font: .8125rem/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.copy {
  -webkit-user-select: all; user-select: all; cursor: copy; display: block; margin: .25rem 0;
  padding: .2rem .5rem; background: var(--raised); border: 1px solid var(--line);
  border-radius: .3rem;
}
.digest {
  -webkit-user-select: all; user-select: all; cursor: copy; display: block; max-width: 13rem;
  overflow: hidden; white-space: nowrap; text-overflow: ellipsis;
}
.hidden {
  position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap;
}
table { width: 100%; border-collapse: collapse; }
th, td {
  padding: .7rem 1.25rem .7rem 0; text-align: start; vertical-align: top;
  border-bottom: 1px solid var(--line); font-weight: inherit; overflow: clip;
}
th:last-child, td:last-child { padding-inline-end: 0; }
thead th { color: var(--soft); font-size: .875rem; padding-block: .25rem; }
tbody th { font-weight: 600; width: 35%; }
.tags tbody th { width: 13%; }
.content { width: 27%; }
.commands { width: 36%; }
.number { text-align: end; white-space: nowrap; font-variant-numeric: tabular-nums; }
td p { margin: 0 0 .15rem; }
main > p { margin: 0 0 .25rem; }
main > table { margin-top: .75rem; }
.soft { color: var(--soft); font-size: .875rem; }
.kind {
  display: inline-block; padding: 0 .5rem; border-radius: .7rem; background: var(--mark);
  font-size: .875rem;
}
.bad { color: var(--bad); background: var(--bad-back); }
summary { color: var(--soft); font-size: .875rem; cursor: pointer; width: fit-content; }
nav { margin-top: 1.25rem; display: flex; gap: 1.5rem; }
header nav { margin: 0 0 .75rem; }
section { border: 1px solid var(--line); border-radius: .5rem; padding: 1.25rem; max-width: 46rem; }
section p { margin: .25rem 0 .75rem; }
footer { margin-top: 2.5rem; color: var(--soft); font-size: .875rem; }
main > details { margin-top: 1.5rem; max-width: 46rem; }
@media (max-width: 52rem) {
  table, tbody, tr, tbody th, .tags tbody th, td, .content, .commands {
    display: block; width: auto;
  }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { padding: .9rem 0; border-bottom: 1px solid var(--line); }
  th, td { border: 0; padding: .1rem 0; }
  .number { text-align: start; }
  .number::before { content: attr(data-name) ": "; color: var(--soft); font-size: .875rem; }
  .number:empty { display: none; }
  .digest { max-width: 100%; }
}
"""
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a browser may do with the page: show it in this style, and load nothing."""
