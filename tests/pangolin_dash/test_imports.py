"""The package has no import circles, and reading movies needs no compiler."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import pangolin_dash

ROOT = Path(pangolin_dash.__file__).parent


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports() -> dict[str, set[str]]:
    """The modules of the package that each module imports, also inside of functions."""
    paths = {module_name(path): path for path in ROOT.rglob("*.py")}
    graph: dict[str, set[str]] = {}
    for name, path in paths.items():
        found = graph.setdefault(name, set())
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names} & set(paths)
            elif isinstance(node, ast.ImportFrom) and node.module in paths:
                assert node.level == 0
                inner = {f"{node.module}.{alias.name}" for alias in node.names} & set(paths)
                found |= inner or {node.module}
    return graph


def test_no_import_circles() -> None:
    graph = imports()
    assert "pangolin_dash.solve" in graph["pangolin_dash.build"]
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError
    graph["pangolin_dash.levels.blocks"].add("pangolin_dash.build")
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter(graph).prepare()


def test_movies_need_neither_emulator_nor_toolchain() -> None:
    code = (
        "import sys, pangolin_dash.movies\n"
        "heavy = {'stable_retro', 'pangolin_dash.simulator', 'pangolin_dash.compile.toolchain'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
