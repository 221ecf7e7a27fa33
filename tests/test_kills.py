"""Killed at random moments, a run goes on and ends as one that nothing disturbed: a few moments of `kills.py`."""

import kills
import pytest


@pytest.mark.parametrize("name", kills.QUICK)
def test_killed_a_few_times(name, tmp_path):
    result = kills.kill_and_compare(kills.QUICK[name], tmp_path, moments=4)
    assert result["kills"] == 4


def test_what_differs_is_found(tmp_path):
    code = """
import os, random, time
from roidepth_lessons.processes import only_run
with only_run(folder):
    time.sleep(0.3)
    open(folder + "/made.txt", "w").write(str(os.getpid()))
"""
    with pytest.raises(RuntimeError, match=r"not as without a break, after \d+ kills: \['made.txt'\]"):
        kills.kill_and_compare(code, tmp_path, moments=1)


def test_a_run_that_fails_after_a_kill_is_found(tmp_path):
    code = """
import os, time
from roidepth_lessons.processes import only_run
with only_run(folder):
    open(folder + "/made.txt", "x").write("whole")
    time.sleep(0.3)
"""
    with pytest.raises(RuntimeError, match=r"(?s)a run failed instead of going on: .*FileExistsError"):
        kills.kill_and_compare(code, tmp_path, moments=1)
