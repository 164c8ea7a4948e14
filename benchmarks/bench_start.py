"""How long the command's help and the import take, beside Python itself and aiohttp.

Run it as ``python benchmarks/bench_start.py``. `import ocipkg_async` is lazy, so the import of the
client, which loads everything, is told too.
"""

import argparse
import sys

import harness
from harness import Contender


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    results = harness.run(
        [
            Contender(name="python -c pass", command=harness.python("pass")),
            Contender(
                name="ocipkg-async --help", command=[sys.executable, "-m", "ocipkg_async", "--help"]
            ),
            Contender(name="import aiohttp", command=harness.python("import aiohttp")),
            Contender(name="import ocipkg_async", command=harness.python("import ocipkg_async")),
            Contender(
                name="from ocipkg_async import Client",
                command=harness.python("from ocipkg_async import Client"),
            ),
        ],
        rounds=options.rounds,
    )
    print(harness.table(results, against=["python -c pass", "import aiohttp"]))


if __name__ == "__main__":
    main()
