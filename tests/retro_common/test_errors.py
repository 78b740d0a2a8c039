"""A person's mistake is one line on stderr and exit code 2."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (["retro_contest", "levels", "pangolin-tests"], "did you mean 'pangolin-test'?"),
        (["pretrain", "all", "--config", "nowhere.yaml"], "nowhere.yaml: no such file"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_usage_error_is_one_line_and_exit_code_2(command, complaint):
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert complaint in line
