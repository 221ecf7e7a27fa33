"""Two runs never work in one folder, the dead hold nothing, and no child outlives whoever started it."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kills import another_run, start, wait_for_end

from roidepth_lessons import processes, study_book
from roidepth_lessons.__main__ import main

TAKE_TURNS = """
import sys, time
from roidepth_lessons.processes import only_run
for _ in range(4):
    try:
        with only_run(sys.argv[1]):
            print("begin", time.monotonic_ns(), flush=True)
            time.sleep(0.05)
            print("end", time.monotonic_ns(), flush=True)
    except RuntimeError:
        pass
"""


def locks(folder):
    return sorted(path.name for path in Path(folder).glob(".*.lock"))


def test_the_second_is_refused_until_the_first_is_gone(tmp_path):
    with another_run(tmp_path / "new") as first:
        with pytest.raises(RuntimeError, match=rf"new: process {first.pid} is at work on it; wait for it"):
            with processes.only_run(tmp_path / "new"):
                pass
        assert len(locks(tmp_path / "new")) == 1
        with processes.only_run(tmp_path / "new", "a file"), processes.only_run(tmp_path):  # something else
            pass
        first.stdin.close()
        first.wait()
    with processes.only_run(tmp_path / "new"), processes.only_run(tmp_path / "new"):
        assert len(locks(tmp_path / "new")) == 1
    assert locks(tmp_path / "new") == []


def test_shares_are_held_at_the_same_time(tmp_path):
    with another_run(tmp_path, "run", (1, 3)) as first:
        with processes.only_run(tmp_path, share=(0, 3)), processes.only_run(tmp_path, share=(2, 3)):
            assert len(locks(tmp_path)) == 3
        with processes.only_run(tmp_path, "a file", share=(1, 3)):  # something else
            pass
        for share in ((1, 3), (0, 2), (1, 4), None):
            with pytest.raises(RuntimeError, match=f"process {first.pid} is at work on it"):
                with processes.only_run(tmp_path, share=share):
                    pass
        assert len(locks(tmp_path)) == 1
        first.kill()
        first.wait()
        with processes.only_run(tmp_path, share=(0, 3)):
            assert locks(tmp_path) == [processes._lock_name(share=(0, 3))]  # that of the dead is gone
    with another_run(tmp_path), pytest.raises(RuntimeError, match="is at work on it"):
        with processes.only_run(tmp_path, share=(0, 3)):
            pass
    with processes.only_run(tmp_path), processes.only_run(tmp_path, share=(0, 3)):  # a part of what it holds already
        assert locks(tmp_path) == [processes._lock_name()]


@pytest.mark.parametrize("reaped", [True, False])
def test_what_a_killed_run_left_counts_for_nothing(tmp_path, reaped):
    with another_run(tmp_path) as first:
        first.kill()
        if reaped:
            first.wait()
        else:
            while "Z" not in Path(f"/proc/{first.pid}/stat").read_text().rpartition(")")[2]:
                time.sleep(0.01)
        assert len(locks(tmp_path)) == 1
        with processes.only_run(tmp_path):
            assert locks(tmp_path) == [processes._lock_name()]


def test_a_number_that_another_process_got_and_another_machine(tmp_path):
    again = tmp_path / f".run@{socket.gethostname()}-{os.getppid()}-12345.lock"
    again.touch()
    with processes.only_run(tmp_path):
        assert not again.exists()
    elsewhere = tmp_path / ".run@far.away-77-12345.lock"
    elsewhere.touch()
    with pytest.raises(RuntimeError, match=r"process 77 on far\.away is at work .*remove .*far\.away-77"):
        with processes.only_run(tmp_path):
            pass
    assert locks(tmp_path) == [elsewhere.name]


def test_of_many_that_begin_at_once_one_is_in_at_a_time(tmp_path):
    (tmp_path / f".run@{socket.gethostname()}-{2**22 + 1}-1.lock").touch()  # of the dead; all want to take it over
    runs = [start(TAKE_TURNS, tmp_path) for _ in range(5)]
    spans = []
    for run in runs:
        lines = run.communicate()[0].split()
        assert run.returncode == 0
        spans += zip(map(int, lines[1::4]), map(int, lines[3::4]), strict=True)
    spans.sort()
    assert len(spans) > 1
    assert all(before[1] <= after[0] for before, after in zip(spans, spans[1:], strict=False))
    assert locks(tmp_path) == []


def test_a_folder_on_which_nothing_can_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"), processes.only_run(tmp_path / "file" / "folder"):
        pass


PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE)
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    "child",
    [
        "from roidepth_lessons.processes import end_with_parent; end_with_parent(); import time; time.sleep(60)",
        "from roidepth_lessons.processes import lines_from_parent\nfor line in lines_from_parent(): pass",
    ],
)
def test_a_child_ends_when_its_parent_is_killed(child):
    with start(PARENT, child) as parent:
        number = int(parent.stdout.readline())
        time.sleep(0.5)  # it works by now
        os.kill(number, 0)
        parent.kill()
        wait_for_end(number)


def test_a_child_that_is_done_ends_as_always():
    code = "from roidepth_lessons.processes import end_with_parent; end_with_parent(); print('done')"
    with start(code) as child:
        assert child.stdout.read() == "done\n"
        assert child.wait() == 0


def test_the_second_run_in_a_folder_is_refused_before_it_has_changed_anything(tmp_path, capsys):
    folder = tmp_path / "streets"
    with another_run(folder):
        command = ["streets", str(folder), "--count=2", "--seed=1", "--height=64", "--width=128"]
        assert main(command) == 2
        assert re.fullmatch(r"error: .*streets: process \d+ is at work on it; .*\n", capsys.readouterr().err)
        assert [path.name for path in folder.iterdir()] == locks(folder)
    with another_run(tmp_path, "book.jsonl"), pytest.raises(RuntimeError, match=r"book\.jsonl: process .* is at work"):
        study_book.run_study(tmp_path / "book.jsonl", study_book.QUICK, ["detection alone"])
    assert not (tmp_path / "book.jsonl").exists()


def test_streets_that_two_draw_at_once_are_those_of_one(tmp_path):
    command = [sys.executable, "-m", "roidepth_lessons", "streets", "--count=6", "--seed=3", "--height=64"]
    command += ["--width=128", "--workers=1"]
    runs = [subprocess.Popen([*command, str(tmp_path / "both")], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    codes = []
    for run in runs:
        complaint = run.communicate()[1]
        codes.append(run.returncode)
        assert ("is at work on it" in complaint) == (run.returncode == 2), complaint
    assert 0 in codes
    subprocess.run([*command, str(tmp_path / "one")], check=True)
    whole, got = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "one", tmp_path / "both")
    )
    assert got == whole
