"""tests/seeds.py: lessons with other seeds, what is kept of them, and what lessons have kept."""

import json
import re

import lesson_rules
import nbformat
import pytest
import seeds
from nbformat import v4

CODE = [
    ("setup", "SEED, RATE = 1, 0.5\nfrom roidepth_lessons.checks import check"),
    (None, 'open(DATA / "results" / "seeds" / "x.json")'),
    (None, "check_exercise = print; check_exercise(1)"),
    ("numbers", 'print(f"way A   boxes ≈ {SEED / 4:.2f}, {1000 * SEED:,} pixels, always 7")\ncheck("small", SEED < 3)'),
]


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    monkeypatch.setattr(seeds, "FOLDER", tmp_path / "kept")
    cells = [v4.new_code_cell(source, metadata={"tags": [tag] if tag else []}) for tag, source in CODE]
    return write(tmp_path / "05_small.ipynb", cells)


def write(path, cells):
    nbformat.write(v4.new_notebook(cells=cells), path)
    return path


def test_every_seed_is_run_once_and_failures_and_numbers_are_kept(lesson, capsys, monkeypatch):
    before = lesson.read_bytes()
    assert seeds.main(["--seeds", "1-2", str(lesson)]) == 0
    assert seeds.main(["--seeds", "2-3", str(lesson)]) == 1
    report = capsys.readouterr().out
    assert "way A boxes ≈ 0.50 [0.25, 0.75], 2000 [1000, 3000] pixels, always 7" in report
    assert "seed 3 FAILED: 05_small, cell 4 ('print(f\"way A   boxes" in report
    assert "this should hold, and does not: small" in report
    record = json.loads((seeds.FOLDER / "05_small.json").read_text())
    assert list(record["seeds"]) == ["1", "2", "3"]
    assert record["seeds"]["1"] == {"failed": [], "numbers": ["way A   boxes ≈ 0.25, 1,000 pixels, always 7"]}
    assert set(record) == {"seeds", "code", "commit", "command", "package", "python", "processor"}
    assert lesson.read_bytes() == before

    monkeypatch.setattr(seeds, "outcome", None)  # what is kept is not run again
    assert seeds.main(["--seeds", "1-3", str(lesson)]) == 1
    assert "OTHER CODE" not in report


def test_other_code_is_run_anew_but_neither_for_an_exercise_nor_for_a_reader_of_the_store(lesson, capsys, monkeypatch):
    runs = []
    monkeypatch.setattr(
        seeds, "outcome", lambda path, notebook, seed: runs.append(seed) or {"failed": [], "numbers": []}
    )
    for at, source, wanted in [
        (0, CODE[0][1], [1]),
        (1, '"results" / "seeds" / "y"', []),
        (2, "check_exercise(2)", []),
        (0, "SEED = 4", [1]),
    ]:
        notebook = nbformat.read(lesson, 4)
        notebook.cells[at].source = source
        write(lesson, notebook.cells)
        assert seeds.main(["--stored", str(lesson)]) == 0
        assert ("OTHER CODE" in capsys.readouterr().out) == bool(wanted)
        assert seeds.main(["--seeds", "1-1", str(lesson)]) == 0
        assert runs == wanted
        runs.clear()


@pytest.mark.parametrize("source", ["SEEDS = 1", "x = 1", "SEED = start", "SEED = 1\nSEED = 2"])
def test_a_lesson_without_one_seed_is_refused(source):
    with pytest.raises(ValueError, match="SEED"):
        seeds.with_seed(v4.new_notebook(cells=[v4.new_code_cell(source)]), 2)


def test_lines_of_another_form_are_not_averaged():
    assert seeds.joined(["a 1", "a 1"]) == "a 1"
    assert seeds.joined(["a -1.5", "a   +2"]) == "a 0.2 [-1.5, 2.0]"
    assert seeds.joined(["a 1", "b 1"]) == "(lines of different form) a 1"


@pytest.mark.parametrize("path", sorted(seeds.FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_what_is_kept_is_of_ten_seeds_or_more_without_a_failure_and_of_the_code_of_today(path):
    notebook, record = lesson_rules.NOTEBOOKS / f"{path.stem}.ipynb", json.loads(path.read_text())
    assert len(record["seeds"]) >= 10
    assert {seed: each["failed"] for seed, each in record["seeds"].items() if each["failed"]} == {}
    assert all(each["numbers"] for each in record["seeds"].values())
    assert record["code"] == seeds.code_of(lesson_rules.read(notebook).notebook), f"python tests/seeds.py {notebook}"


def test_what_lesson_05_says_of_its_seeds_is_what_is_kept():
    """AbsRel where beams look: exact depth beats the row means of LiDAR six times or more, and is worse than LiDAR."""
    record = json.loads((seeds.FOLDER / "05_depth.json").read_text())["seeds"]
    rows = {seed: {line[:22].strip(): line for line in each["numbers"]} for seed, each in record.items()}
    exact, means, lidar = (
        {seed: float(re.search(r"≈ ([\d.]+)", each[name])[1]) for seed, each in rows.items()}
        for name in ("exact depth", "row means, LiDAR", "LiDAR")
    )
    assert sum(exact[seed] < means[seed] for seed in rows) >= 6
    assert exact["1"] > means["1"]
    ratios = [exact[seed] / lidar[seed] for seed in rows]
    assert 1.07 < min(ratios) < 1.15
    assert 1.35 < max(ratios) < 1.45
