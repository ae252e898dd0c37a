"""Run benchmarks by name, each in a process of its own, and write their results as JSON.

Every figure is a ratio to something measured in the same run, beside the seconds themselves:
machines differ and are noisy. Usage: ``python -m benchmarks [NAME …]``.
"""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import psutil

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"
VERSIONS = ("numpy", "scipy", "pandas", "xarray", "pymc", "pytensor", "numba", "nutpie", "bambi")


def main(names):
    available = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
    unknown = set(names) - set(available)
    if unknown:
        sys.exit(f"no benchmark named {sorted(unknown)}; available: {available}")
    RESULTS.mkdir(exist_ok=True)
    for name in names or available:
        print(f"==> {name}", flush=True)
        run = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}"], check=True, stdout=subprocess.PIPE
        )
        measured = json.loads(run.stdout)
        target = RESULTS / f"{name}.json"
        text = json.dumps({"machine": machine(), "measured": measured}, indent=2)
        target.with_suffix(".part").write_text(text + "\n")
        target.with_suffix(".part").rename(target)
        print(json.dumps(measured, indent=2))


def machine():
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "processor": processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("mrp", *VERSIONS)},
    }


def processor():
    names = Path("/proc/cpuinfo")
    if names.exists():
        for line in names.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


if __name__ == "__main__":
    main(sys.argv[1:])
