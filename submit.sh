#!/usr/bin/env bash
# Submit this repository's agent. All options are those of `retro-contest submit`: --help lists them.
set -euo pipefail
cd "$(dirname "$0")"
python=${PYTHON:-.venv/bin/python}
command -v "$python" >/dev/null || python=python3
exec "$python" -m retro_contest submit "$@"
