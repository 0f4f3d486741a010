"""Measure speed, in a checkout: python scripts/benchmark.py targets|decode|data|overhead|networks|export."""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is no part of the wheel
    runpy.run_module("benchmarks", run_name="__main__", alter_sys=True)
