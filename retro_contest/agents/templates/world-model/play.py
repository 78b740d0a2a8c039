"""The kit's world-model agent with the bundle beside this file: `python -m agent`, from anywhere.

All options of `python -m agent` can follow (--help lists them).
"""

import os
import runpy
from pathlib import Path

if __name__ == "__main__":
    os.environ.setdefault("RETRO_BUNDLE", str(Path(__file__).with_name("bundle")))
    runpy.run_module("agent", run_name="__main__", alter_sys=True)
