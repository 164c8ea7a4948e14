"""How long the command's help, the import and a test's registry take, beside Python itself and aiohttp.

Run it as ``python benchmarks/bench_start.py``. `import ocipkg_async` is lazy, so the import of the
client, which loads everything, is told too. The rows "without starting" of the registries are
the medians of twenty: from nothing to the first answer, and from there to nothing.
"""

import argparse
import sys

import harness
from harness import Contender

REGISTRY = """
import statistics, time, urllib.request
from ocipkg_async.testing import run_registry

def measure():
    begun = time.perf_counter()
    with run_registry() as registry:
        urllib.request.urlopen(registry.url + "/v2/").close()
        answered = time.perf_counter()
    return answered - begun, time.perf_counter() - answered

print(statistics.median(measure()[{part}] for _ in range(20)))
"""


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
            *(
                Contender(
                    name=f"registry for a test, 20 times, {what}",
                    command=harness.python(REGISTRY.replace("{part}", str(part))),
                    inner=True,
                )
                for part, what in enumerate(("to its first answer", "to its end"))
            ),
        ],
        rounds=options.rounds,
    )
    print(harness.table(results, against=["python -c pass", "import aiohttp"]))


if __name__ == "__main__":
    main()
