"""Proof that the machinery bites: a lesson that keeps every rule, spoilt in one place at a time; cells under nbval."""

import copy
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import lesson_rules
import nbformat
import pytest
import regenerate
from nbformat import v4

from roidepth_lessons import checks

ROOT = lesson_rules.ROOT
BABBLE = "A sentence of nine words that says nothing new. " * 3
TWELVE_LINES = "\n".join(f"value_{i} = {i}" for i in range(12))


def text(source, *tags):
    return v4.new_markdown_cell(source, metadata={"tags": list(tags)} if tags else {})


def code(source=TWELVE_LINES, *tags, outputs=()):
    metadata = {"tags": list(tags)} if tags else {}
    return v4.new_code_cell(source, metadata=metadata, outputs=list(outputs))


def printed(words, name="stdout"):
    return v4.new_output("stream", name=name, text=words + "\n")


def picture(alt, kind="image/png"):
    metadata = {kind: {"alt": alt}} if alt else {}
    return v4.new_output("display_data", data={kind: "aGk=", "text/plain": "<Figure>"}, metadata=metadata)


HEAD = """# 77 · An example

**Question.** What does a lesson need?

**Afterwards you can** build one.

**You need** nothing.

**Time.** 5 minutes to read, 20 seconds to run.

**Module.** `roidepth_lessons.checks`

[← 76 Before](76_before.ipynb)"""

QUESTION = """**{0}.** Why is that so?

<details><summary>Answer</summary>

It was built like that.
</details>"""

EXERCISE = """### Exercise 77.{0} · {1}: half of it

Halve it.

<details><summary>Hint</summary>Divide.</details>

[Solution](solutions/77_example.ipynb#Exercise-77.{0})"""

TAKE_ALONG = """## Take it with you

```python
from roidepth_lessons.checks import check
```

It needs NumPy."""

REFERENCES = """## References

- [One](https://example.org/one). Why: the first of them.
- [Two (a book)](https://example.org/two_(a_book)). *Why:* the second of them."""


def section(heading, *cells):
    return [text(f"## {heading}\n\n{BABBLE}"), *cells]


def filled(count):
    """Code cells with text between them, so that the lesson is long enough."""
    return [cell for _ in range(count) for cell in (code(), text(BABBLE * 3))]


def exercise(number, kind):
    stub = f'def half(x):\n    ...\n\n\ncheck_exercise("77.{number}", half)'
    return [text(EXERCISE.format(number, kind)), code(stub, outputs=[printed(f"Exercise 77.{number}: not tried yet.")])]


def good_lesson():
    """The smallest lesson that keeps every rule."""
    return numbered([
        text(HEAD),
        code("draw.show(draw.pipeline('neck'))", "pipeline", outputs=[picture("Pipeline: its parts. Lit: neck.")]),
        text(BABBLE),
        code("start()", "setup"),
        *section("See it", text("What will come out?", "prediction"), code("1", outputs=[printed("1")])),
        *section("By hand: on paper", *filled(3)),
        *section("The module", code('check("both agree", True)', "agreement", outputs=[printed("✓ both agree")])),
        *section("Use it", code("1", "baseline"), *filled(3)),
        *section("Break it on purpose", code("0", "bug", outputs=[printed("0")]), text("Mend it."),
                 code("1", "cure", outputs=[printed("1")])),
        *section("Questions", *(text(QUESTION.format(i)) for i in (1, 2, 3))),
        *section("Exercises", *exercise(1, "predict"), *exercise(2, "change"), *exercise(3, "build")),
        *section("Summary", code("1", "numbers", outputs=[printed("error ≈ 0.12 m")]), *filled(2)),
        text(TAKE_ALONG),
        text(REFERENCES),
    ])  # fmt: skip


def good_solution():
    cells = [text("# 77 · Solutions\n\n[The lesson](../77_example.ipynb)"), code("start()")]
    for number in (1, 2, 3):
        cells += [
            text(f"## Exercise 77.{number}\n\nHalve it."),
            code(f'check_exercise("77.{number}", half)', outputs=[printed(f"Exercise 77.{number}: right.")]),
        ]
    return numbered(cells)


def numbered(cells):
    count = 0
    for cell in cells:
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
    return v4.new_notebook(cells=cells)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of notebooks with a lesson before the good one, and its exercises among the checks."""
    for number in (1, 2, 3):
        monkeypatch.setitem(checks.EXERCISES, f"77.{number}", checks.Exercise("half", [], {}))
    (tmp_path / "solutions").mkdir()
    nbformat.write(v4.new_notebook(cells=[text("# 76 · Before")]), tmp_path / "76_before.ipynb")
    nbformat.write(good_lesson(), tmp_path / "77_example.ipynb")
    nbformat.write(good_solution(), tmp_path / "solutions" / "77_example.ipynb")
    return tmp_path


def messages(path, notebook=None):
    if notebook is not None:
        nbformat.write(notebook, path)
    return lesson_rules.problems(lesson_rules.read(path))


def test_the_good_lesson_and_its_solution_keep_every_rule(folder):
    assert messages(folder / "77_example.ipynb") == []
    assert messages(folder / "solutions" / "77_example.ipynb") == []


# Ways to spoil a notebook. Each changes one thing.


def cell_of(notebook, beginning):
    """The cell that has a tag, or begins with these words."""
    cells = notebook.cells
    return next(
        each for each in cells if beginning in each.metadata.get("tags", []) or each.source.startswith(beginning)
    )


def replace(beginning, old, new):
    def spoil(notebook):
        cell = cell_of(notebook, beginning)
        assert old in cell.source
        cell.source = cell.source.replace(old, new)

    return spoil


def remove(beginning):
    def spoil(notebook):
        notebook.cells.remove(cell_of(notebook, beginning))
        numbered(notebook.cells)

    return spoil


def insert(place, *cells):
    def spoil(notebook):
        notebook.cells[place:place] = cells
        numbered(notebook.cells)

    return spoil


def output(beginning, *outputs):
    def spoil(notebook):
        cell_of(notebook, beginning).outputs = list(outputs)

    return spoil


def tag(beginning, *names):
    def spoil(notebook):
        cell_of(notebook, beginning).metadata["tags"] = list(names)

    return spoil


def not_run(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = None, []


def run_twice(notebook):
    cell_of(notebook, "cure").execution_count = 99


def ignore_many(notebook):
    for cell in [each for each in notebook.cells if each.source == TWELVE_LINES][:5]:
        cell.metadata["tags"] = ["nbval-ignore-output"]


def long_cells(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source += "\nvalue = 0" * 6


def few_cells(notebook):
    fillers = [each for each in notebook.cells if each.source in (TWELVE_LINES, BABBLE * 3)]
    notebook.cells = numbered([each for each in notebook.cells if each not in fillers]).cells


def sections_exchanged(notebook):
    first, second = cell_of(notebook, "## By hand"), cell_of(notebook, "## The module")
    first.source, second.source = second.source, first.source


def source_of(name, module="checks"):
    """The package's own text of a definition."""
    source = (lesson_rules.PACKAGE / f"{module}.py").read_text()
    found = next(each for each in lesson_rules.definitions(source) if each.name == name)
    return "\n".join(source.splitlines()[found.lineno - 1 - len(found.decorator_list) : found.end_lineno])


ERROR = v4.new_output("error", ename="ValueError", evalue="no", traceback=["no"])
LONG_CODE = "\n".join(f"value_{i} = {i}" for i in range(36))
CHANGED = source_of("check").replace("print(", "print(  0, ")

FAULTS = {
    "not run": (not_run, "cell 2 (\"draw.show(draw.pipeline('neck'))\"): run as [None], should be [1]"),
    "run out of order": (run_twice, "cell 28 ('1'): run as [99], should be [13]"),
    "an error": (output("cure", ERROR), "cell 28 ('1'): stores an error: ValueError"),
    "stderr": (output("cure", printed("Warning!", "stderr")), "stores text on stderr: 'Warning!"),
    "an address": (output("cure", printed("<A at 0x7f3a12cd>")), "stores an object's address"),
    "a carriage return": (output("cure", printed("1 of 2\r2 of 2")), "stores a carriage return"),
    "≈ alone": (output("numbers", printed("≈0.12")), "'≈0.12': after ≈ comes one space and a plain number"),
    "≈ padded": (output("numbers", printed("≈  0.12 m")), "after ≈ comes one space"),
    "≈ padded, behind another": (output("numbers", printed("≈ 0.12 m, ≈  0.12 m")), "after ≈ comes one space"),
    "≈ nan": (output("numbers", printed("≈ nan")), "after ≈ comes one space and a plain number"),
    "≈ with a comma": (output("numbers", printed("≈ 12,345 m")), "after ≈ comes one space and a plain number"),
    "≈ too coarse": (output("numbers", printed("≈ 0.01 m")), "'≈ 0.01' needs two significant digits"),
    "≈ zero": (output("numbers", printed("≈ 0.00 m")), "'≈ 0.00' needs two significant digits"),
    "skipped": (tag("bug", "bug", "nbval-skip"), "the tag 'nbval-skip' is not allowed"),
    "may raise": (tag("bug", "bug", "nbval-raises-exception"), "the tag 'nbval-raises-exception' is not allowed"),
    "a tag misspelt": (tag("bug", "bug", "nbval-ignore-outputs"), "the tag 'nbval-ignore-outputs' is not allowed"),
    "skipped by comment": (replace("bug", "0", "# NBVAL_SKIP\n0"), "the comment '# NBVAL_SKIP' is not allowed"),
    "many ignored": (ignore_many, "5 of 19 code cells are ignored; one in ten may be"),
    "a magic": (replace("cure", "1", "%time 1"), "is not plain Python (line 1)"),
    "a long cell": (insert(-1, code(LONG_CODE)), "has 36 lines; at most 35"),
    "cells too long": (long_cells, "the median code cell has 9 lines; at most 6"),
    "a large file": (output("cure", printed("x" * 300_000)), "kB; at most 300"),
    "no alt text": (output("cure", picture("")), "a figure has no alt text, or a short one ('')"),
    "no alt text, JPEG": (output("cure", picture("", "image/jpeg")), "a figure has no alt text, or a short one ('')"),
    "a short alt text": (output("cure", picture("a curve")), "a figure has no alt text, or a short one ('a curve')"),
    "alt text twice": (output("cure", picture("Pipeline: its parts. Lit: neck.")), "repeats the alt text of another"),
    "no alt text in Markdown": (insert(-1, text("![](76_before.ipynb)")), "a figure has no alt text, or a short one"),
    "no such file": (insert(-1, text("[a](75_gone.ipynb)")), "link '75_gone.ipynb': there is no such file"),
    "no such heading": (insert(-1, text("[a](76_before.ipynb#Gone)")), "76_before.ipynb has no such heading"),
    "no such heading here": (insert(-1, text("[a](#Gone)")), "77_example.ipynb has no such heading"),
    "a link out": (insert(-1, text("[a](../README.md)")), "leaves notebooks/, the folder that JupyterLab opens"),
    "an empty link": (insert(-1, text("[a]()")), "link '': leads nowhere"),
    "a picture's link": (
        insert(-1, text("[![A long alt text, a badge](gone.png)](#References)")),
        "link 'gone.png': there",
    ),
    "HTML link": (insert(-1, text('<a href="gone">a</a>')), "write links and pictures inline in Markdown"),
    "link elsewhere": (insert(-1, text("[a][b]\n\n[b]: gone")), "write links and pictures inline in Markdown"),
    "other code": (insert(-1, code(CHANGED)), "check differs from the one in roidepth_lessons/checks.py; or rename it"),
    "no title": (replace("# 77", "# 77 · An", "# An"), "the first cell must begin with '# 77 · title'"),
    "no objective": (
        replace("# 77", "**Afterwards you can**", "You can"),
        "the head lacks '**Afterwards you can** ...'",
    ),
    "no question": (replace("# 77", "need?", "need."), "the head must ask one question"),
    "two questions": (replace("# 77", "need?", "need? Why?"), "the head must ask one question"),
    "no time": (replace("# 77", "20 seconds to run", "runs fast"), "the head's time must read"),
    "no module": (replace("# 77", "`roidepth_lessons.checks`", "checks"), "the head names no module"),
    "unknown module": (replace("# 77", "lessons.checks", "lessons.chex"), "roidepth_lessons/chex.py does not exist"),
    "no link back": (
        replace("# 77", "(76_before.ipynb)", "(#References)"),
        "the head does not link to 76_before.ipynb",
    ),
    "no section": (remove("## Use it"), "the section '## Use it' is missing"),
    "sections exchanged": (sections_exchanged, "the sections are out of order or double: See it, The module, By hand"),
    "a section twice": (insert(-1, text("## Summary: again")), "the sections are out of order or double"),
    "another section": (insert(-1, text("## Interlude")), "'## Interlude' is no section"),
    "a heading inside": (replace("## Use it", "## Use it", "So:\n\n## Use it"), "must be the first line of its cell"),
    "no pipeline": (tag("pipeline"), "no cell before the first section is tagged 'pipeline'"),
    "no baseline": (tag("baseline"), "no cell in '## Use it' is tagged 'baseline'"),
    "a tag elsewhere": (tag("numbers", "numbers", "cure"), "the tag 'cure' belongs on a code cell in '## Break it"),
    "pipeline unlit": (output("pipeline", picture("Pipeline: its parts. No part is lit.")), "with today's part lit"),
    "no start": (replace("setup", "start()", "1"), "the set-up cell must call start()"),
    "set-up late": (insert(3, code()), "the first two code cells must be the pipeline and the set-up"),
    "no prediction": (replace("prediction", "?", "."), "must ask for a prediction before its first code cell"),
    "shown first": (insert(5, code()), "must ask for a prediction before its first code cell"),
    "no check": (replace("agreement", "check(", "print("), "must check() that the module agrees"),
    "bug unseen": (output("bug"), "the bug shows nothing: it has no output"),
    "no numbers": (output("numbers", printed("All went well.")), "prints no numbers"),
    "two questions only": (remove("**2.**"), "'## Questions' has 2 folded answers; 3 wanted"),
    "an open answer": (replace("**2.**", "<details>", ""), "'## Questions' has 2 folded answers; 3 wanted"),
    "Markdown glued": (replace("**2.**", "</summary>\n\n", "</summary>\n"), "'## Questions' has 2 folded answers"),
    "an answer unasked": (replace("**2.**", "?", "."), "'## Questions' asks 2 questions; 3 wanted"),
    "two exercises": (remove("### Exercise 77.3"), "has 2 exercises; 3 or 4 wanted"),
    "numbered wrong": (
        replace("### Exercise 77.2", "Exercise 77.2 ·", "Exercise 77.4 ·"),
        "the exercises are numbered",
    ),
    "no kind": (
        replace("### Exercise 77.2", "change: half", "half"),
        "the heading must read '### Exercise 77.2 · predict|",
    ),
    "a kind missing": (replace("### Exercise 77.2", "change:", "build:"), "has no exercise of the kind 'change'"),
    "no hint": (replace("### Exercise 77.2", "Hint", "Answer"), "has no <details><summary>Hint</summary>"),
    "no way to the solution": (replace("### Exercise 77.2", "#Exercise-77.2", ""), "does not link to its solution"),
    "no entry": (lambda notebook: checks.EXERCISES.pop("77.2"), "checks.EXERCISES has no entry '77.2'"),
    "no stub": (
        output('def half(x):\n    ...\n\n\ncheck_exercise("77.2"', printed("right.")),
        "stores 'not tried yet'",
    ),
    "no import": (
        replace("## Take", "from roidepth_lessons.checks import", "import"),
        "has no code block that imports",
    ),
    "unknown name": (replace("## Take", "import check", "import chex"), "roidepth_lessons.checks has no chex"),
    "no needs": (replace("## Take", "It needs NumPy.", ""), "does not say what the module needs"),
    "one reference": (replace("## References", "- [Two", "[Two"), "'## References' lists 1; 2 to 4 wanted"),
    "no why": (replace("## References", "Why: the", "It is the"), "has no 'Why: ...' of three words or more"),
    "few cells": (few_cells, "cells; 35 to 55 wanted"),
    "few words": (
        lambda notebook: [replace_babble(cell, "Go on.") for cell in notebook.cells],
        "words; 900 to 2200 wanted",
    ),
    "many words": (lambda notebook: [replace_babble(cell, BABBLE * 5) for cell in notebook.cells], "words; 900 to"),
    "little code": (lambda notebook: [shorten(cell) for cell in notebook.cells], "lines of code; 100 to"),
    "three in a row": (insert(12, code(), code()), "more than 2 code cells in a row"),
}


def replace_babble(cell, words):
    cell.source = cell.source.replace(BABBLE, words)


def shorten(cell):
    cell.source = "1" if cell.source == TWELVE_LINES else cell.source


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_in_a_lesson_is_found_and_named(folder, fault):
    spoil, expected = FAULTS[fault]
    notebook = good_lesson()
    spoil(notebook)
    found = messages(folder / "77_example.ipynb", notebook)
    assert any(expected in each for each in found), found
    assert all(each.startswith("77_example") for each in found)


SOLUTION_FAULTS = {
    "an exercise left out": (remove("## Exercise 77.2"), "has no heading '## Exercise 77.2'"),
    "not solved": (
        output('check_exercise("77.2"', printed("Exercise 77.2: not yet.")),
        "stores 'Exercise 77.2: right'",
    ),
    "no way back": (
        replace("# 77", "../77_example.ipynb", "#Exercise-77.1"),
        "does not link back to ../77_example.ipynb",
    ),
    "a heading that links miss": (
        replace("## Exercise 77.2", "77.2", "77.2, halved"),
        "the heading must be '## Exercise 77",
    ),
    "not run": (not_run, "run as [None], should be [1]"),
}


@pytest.mark.parametrize("fault", SOLUTION_FAULTS)
def test_one_fault_in_a_solution_is_found_and_named(folder, fault):
    spoil, expected = SOLUTION_FAULTS[fault]
    notebook = good_solution()
    spoil(notebook)
    found = messages(folder / "solutions" / "77_example.ipynb", notebook)
    assert any(expected in each for each in found), found
    assert all(each.startswith("solutions/77_example") for each in found)


def test_a_lesson_without_solution_and_a_solution_without_lesson(folder):
    (folder / "solutions" / "77_example.ipynb").rename(folder / "solutions" / "78_other.ipynb")
    assert "77_example: solutions/77_example.ipynb does not exist" in messages(folder / "77_example.ipynb")
    assert "solutions/78_other: there is no lesson 78_other.ipynb" in messages(folder / "solutions" / "78_other.ipynb")


def test_a_lesson_that_follows_must_be_linked(folder):
    nbformat.write(v4.new_notebook(), folder / "78_after.ipynb")
    assert messages(folder / "77_example.ipynb") == [
        f"77_example, cell 1 ('# 77 · An example'): the head does not link to {name}" for name in ("78_after.ipynb",)
    ]


def test_an_exercise_that_only_the_checks_know(folder, monkeypatch):
    monkeypatch.setitem(checks.EXERCISES, "77.4", checks.Exercise("half", [], {}))
    assert messages(folder / "77_example.ipynb") == ["77_example: checks.EXERCISES has 77.4, the lesson has not"]


def test_lesson_00_is_free_in_its_form(folder):
    path = folder / "00_start_here.ipynb"
    assert messages(path, numbered([text("# Start\n\n[a](#Start)"), code("1", outputs=[printed("1")])])) == []
    notebook = numbered([text("# Start"), code("1", outputs=[picture("")])])
    assert messages(path, notebook) == ["00_start_here, cell 2 ('1'): " + NO_ALT_TEXT]


NO_ALT_TEXT = "a figure has no alt text, or a short one (''): draw.show() it"


# Definitions and what is no fault.


BARE = re.sub(r'^    """.*?"""\n', "", source_of("check"), flags=re.DOTALL | re.MULTILINE)
HARMLESS = {
    "the package's function": source_of("check"),
    "without its docstring, with comments": BARE.replace("    if", "    # a comment\n    if"),
    "with a docstring of its own": BARE.replace("    value", '    """Says it."""\n    value', 1),
    "another name": CHANGED.replace("def check(", "def check_by_hand("),
    "a class": source_of("ProgressLine", "session"),
    "a private name of another module": "def _photo(x):\n    return x\n\n\ndef _outline(x):\n    return x",
}


@pytest.mark.parametrize("source", HARMLESS.values(), ids=HARMLESS)
def test_the_package_s_code_may_be_shown(folder, source):
    notebook = good_lesson()
    insert(-1, code(source))(notebook)
    found = [each for each in messages(folder / "77_example.ipynb", notebook) if "differs" in each]
    assert found == []


CHANGES = {
    "a function": ("check", "checks", "not value.item()", "value.item()"),
    "a default": ("start", "session", "threads=2", "threads=4"),
    "a method": ("ProgressLine", "session", ">= 0.1", ">= 0.2"),
    "a private name of the lesson's module": ("brief", "checks", "60", "61"),
    "a decorator": ("Exercise", "checks", "@dataclass(frozen=True)", "@dataclass"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_code_under_the_package_s_name_is_found(folder, change):
    name, module, old, new = CHANGES[change]
    source = source_of(name, module)
    assert old in source
    notebook = good_lesson()
    insert(-1, code(source.replace(old, new)))(notebook)
    expected = f"{name} differs from the one in roidepth_lessons/{module}.py"
    assert any(expected in each for each in messages(folder / "77_example.ipynb", notebook))


def test_what_looks_like_a_link_and_is_none(folder):
    notebook = good_lesson()
    harmless = "`a[0](gone)` and $f[x](y)$\n\n```python\nb[1](gone)\n## no section\n```\n\n[here](#By-hand:-on-paper)"
    insert(-1, text(harmless + "\n\n[a [b] (c)](https://example.org/a_(b))"))(notebook)
    assert messages(folder / "77_example.ipynb", notebook) == []


def test_anchors_of_a_markdown_file(folder):
    (folder / "README.md").write_text("# How it is `built`: a *lesson*\n")
    notebook = good_lesson()
    insert(-1, text("[a](README.md#how-it-is-built-a-lesson)"))(notebook)
    assert messages(folder / "77_example.ipynb", notebook) == []


def test_the_table_counts(folder):
    lesson = lesson_rules.read(folder / "77_example.ipynb")
    notebook = lesson.notebook
    lines = sum(len(cell.source.split("\n")) for cell in notebook.cells if cell.cell_type == "code")
    blank = 3 * 2  # between stub and check
    size = round((folder / "77_example.ipynb").stat().st_size / 1000)
    words = lesson_rules.count_words(lesson)
    row = f"| `77_example` | {len(notebook.cells)} | {words} | {lines - blank} | 1 | 3 | {size} |"
    assert lesson_rules.table([lesson]).splitlines()[2:] == [row]
    few = lesson_rules.Lesson(
        lesson.path, numbered([text("Two *words*\n\n```\nnone here\n```\n[a link](b.md) <b>x</b>")])
    )
    assert lesson_rules.count_words(few) == 5


# The command that stores outputs.


COUNTING = "from roidepth_lessons.session import counted\nfor _ in counted(range(5), 'five steps'):\n    pass"
NOISE = """import base64, os
from IPython.display import display
noise = base64.b64encode(os.urandom(60)).decode()
display({'image/png': noise, 'text/plain': 'noise'}, metadata={'image/png': {'alt': 'Noise, 60 bytes.'}}, raw=True)"""
STORE = {
    "01_good": [
        COUNTING,
        NOISE,
        "import sys\nsys.executable, 'PYTEST_CURRENT_TEST' in os.environ",
    ],
    "02_loud": ["1", "import sys\nprint('a warning', file=sys.stderr)"],
    "03_raises": ["1", "1 / 0"],
    "04_dies": ["1", "import os\nos._exit(3)"],
}


@pytest.fixture
def to_store(tmp_path):
    for name, sources in STORE.items():
        notebook = v4.new_notebook(
            cells=[code(source) for source in sources], metadata={"kernelspec": {"name": "none", "display_name": ""}}
        )
        notebook.cells[0].metadata = {"tags": ["setup"], "scrolled": True, "execution": {"iopub.status.busy": "now"}}
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    return tmp_path


def test_outputs_are_stored_and_faults_refused(to_store, capsys, monkeypatch):
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # as it is outside of pytest
    paths = {name: to_store / f"{name}.ipynb" for name in STORE}
    before = {name: path.read_bytes() for name, path in paths.items()}
    assert regenerate.main([str(path) for path in paths.values()]) == 1
    report = capsys.readouterr().out
    assert re.search(r"01_good.ipynb: \d+ s, written\n", report)
    assert "02_loud, cell 2 ('import sys'): stores text on stderr: 'a warning\\n'" in report
    assert "03_raises, cell 2 ('1 / 0'): raises ZeroDivisionError: division by zero" in report
    assert "04_dies, cell 2 ('import os'): the kernel died" in report
    assert [name for name in STORE if paths[name].read_bytes() != before[name]] == ["01_good"]

    stored = json.loads(paths["01_good"].read_text())
    assert stored["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert [cell["metadata"] for cell in stored["cells"]] == [{"tags": ["setup"]}, {}, {}]
    assert [cell["execution_count"] for cell in stored["cells"]] == [1, 2, 3]
    assert stored["cells"][0]["outputs"][0]["text"] == [f"{'five steps: done':<78}\n"]
    assert stored["cells"][1]["outputs"][0]["metadata"] == {"image/png": {"alt": "Noise, 60 bytes."}}
    assert stored["cells"][2]["outputs"][0]["data"]["text/plain"] == [f"({sys.executable!r}, True)"]

    # Run again, only the noise in the picture differs.
    kept = paths["01_good"].read_bytes()
    assert regenerate.main([str(paths["01_good"])]) == 0
    assert "01_good.ipynb" in (report := capsys.readouterr().out)
    assert "unchanged" in report
    assert paths["01_good"].read_bytes() == kept
    assert sorted(path.name for path in to_store.iterdir()) == sorted(path.name for path in paths.values())


def test_times_are_taken_and_nothing_is_stored(tmp_path, capsys):
    path = tmp_path / "01_slow.ipynb"
    nbformat.write(v4.new_notebook(cells=[text("# A"), code("import time\ntime.sleep(0.7)"), code("1")]), path)
    before = path.read_bytes()
    assert regenerate.main(["--times", str(path)]) == 0
    report = capsys.readouterr().out
    assert re.search(r"exercises \| kB \| run s \|\n.*\n\| `01_slow` \|.* \| [1-9]\d* \|\n", report)
    rows = re.findall(r"^\| (\d+\.\d) \| (01_slow, cell \d)", report, re.MULTILINE)
    assert [where for _, where in rows] == ["01_slow, cell 2", "01_slow, cell 3"]
    assert float(rows[0][0]) >= 0.7
    assert path.read_bytes() == before


def test_a_changed_alt_text_counts_and_changed_bytes_do_not():
    first = numbered([code("1", outputs=[picture("A picture.")])])
    second = copy.deepcopy(first)
    second.cells[0].outputs[0].data["image/png"] = "YnllCg=="
    assert regenerate.without_pictures(first) == regenerate.without_pictures(second) != first
    second.cells[0].outputs[0].metadata["image/png"]["alt"] = "Another text."
    assert regenerate.without_pictures(first) != regenerate.without_pictures(second)


def test_an_interrupted_write_leaves_the_old_notebook(to_store, monkeypatch):
    path = to_store / "01_good.ipynb"
    before = path.read_bytes()

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(regenerate.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        regenerate.write(path, v4.new_notebook())
    assert path.read_bytes() == before
    assert len(list(to_store.iterdir())) == len(STORE)


def test_the_command_refuses_what_is_no_notebook(tmp_path, capsys):
    with pytest.raises(SystemExit):
        regenerate.main([str(tmp_path / "gone.ipynb")])
    assert "gone.ipynb is not a notebook" in capsys.readouterr().err


# nbval with the repository's own settings, in a process of its own.


def shows(stored, source, *tags):
    """A cell whose stored output is not what its code prints now."""
    return code(source, *tags, outputs=[printed(stored)] if stored else [])


VALUE = v4.new_output("execute_result", data={"text/plain": "'≈ 0.10'"}, execution_count=1)
TWO_STREAMS = [printed("≈ 0.100"), picture("A picture between."), printed("≈ 0.200")]
BETWEEN = (
    "from IPython.display import display\nprint('≈ 0.101')\n"
    "display({{'image/png': 'aGkh', 'text/plain': '<Figure>'}}, raw=True)\nprint('≈ {}')"
)
UNDER_NBVAL = {
    "equal": (shows("same", "print('same')"), "passes"),
    "another word": (shows("same", "print('other')"), "Cell outputs differ"),
    "20 % more": (shows("error ≈ 0.100 m", "print('error ≈ 0.120 m')"), "passes"),
    "20 % less": (shows("error ≈ 0.100 m", "print('error ≈ 0.080 m')"), "passes"),
    "30 % more": (shows("error ≈ 0.100 m", "print('error ≈ 0.130 m')"), "stdout: stored ≈ 0.1, now ≈ 0.13"),
    "30 % less": (shows("error ≈ 0.100 m", "print('error ≈ 0.070 m')"), "stdout: stored ≈ 0.1, now ≈ 0.07"),
    "the other sign": (shows("≈ 0.100", "print('≈ -0.100')"), "stored ≈ 0.1, now ≈ -0.1"),
    "20 % of a small one": (shows("≈ 1.0e-05", "print('≈ 1.2e-05')"), "passes"),
    "ten times as much": (shows("≈ 1.0e-05", "print('≈ 1.0e-04')"), "stored ≈ 1e-05, now ≈ 0.0001"),
    "another unit": (shows("≈ 0.100 m", "print('≈ 0.100 s')"), "Cell outputs differ"),
    "a plain number off": (shows("0.100", "print('0.101')"), "Cell outputs differ"),
    "not a number now": (shows("≈ 0.100", "print('≈ nan')"), "Cell outputs differ"),
    "the second of two": (shows("≈ 0.10 ≈ 0.20", "print('≈ 0.11 ≈ 0.30')"), "stdout: stored ≈ 0.2, now ≈ 0.3"),
    "around a picture": (code(BETWEEN.format("0.190"), outputs=TWO_STREAMS), "passes"),
    "off after a picture": (code(BETWEEN.format("0.140"), outputs=TWO_STREAMS), "stored ≈ 0.2, now ≈ 0.14"),
    "a value off": (code("'≈ 0.13'", outputs=[VALUE]), "text/plain: stored ≈ 0.1, now ≈ 0.13"),
    "ignored": (shows("≈ 0.1", "print('≈ 9.9')", "nbval-ignore-output"), "passes"),
    "on stderr": (shows("", "import sys\nprint('a warning', file=sys.stderr)"), "Unexpected output fields"),
    "an exception": (shows("", "1 / 0"), "Cell execution caused an exception"),
    "this very Python": (shows(sys.executable, "import sys\nprint(sys.executable)"), "passes"),
    "pyplot is shown": (
        code("import matplotlib.pyplot as plt\nplt.figure(figsize=(1, 1)).add_axes((0, 0, 1, 1))\nplt.show()",
             outputs=[v4.new_output("display_data", data={"text/plain": "<Figure size 100x100 with 1 Axes>"})]),
        "passes",
    ),
    "progress": (shows(f"{'five steps: done':<78}", COUNTING), "passes"),
    "stripped": (shows("", "print('unchecked')"), "passes"),
}  # fmt: skip


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What pytest --nbval says of each cell of UNDER_NBVAL: "passes", or the text of the failure."""
    folder = tmp_path_factory.mktemp("nbval")
    (folder / "tests").mkdir()
    for name in ("conftest.py", "pyproject.toml", "tests/nbval_sanitize.cfg"):
        shutil.copy(ROOT / name, folder / name)
    notebook = numbered([cell for cell, _ in UNDER_NBVAL.values()])
    notebook.cells[-1].execution_count = None
    notebook.metadata = {"kernelspec": {"name": "no-such-kernel", "display_name": "none"}}
    nbformat.write(notebook, folder / "example.ipynb")
    command = [sys.executable, "-m", "pytest", "--nbval", "-q", "--color=no", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    done = subprocess.run([*command, "--junitxml=report.xml", "example.ipynb"], cwd=folder, env=environment,
                          capture_output=True, text=True, timeout=300)  # fmt: skip
    assert (folder / "report.xml").exists(), done.stdout + done.stderr
    found = [case.find("failure") for case in ElementTree.parse(folder / "report.xml").iter("testcase")]
    return dict(zip(UNDER_NBVAL, ["passes" if each is None else each.text for each in found], strict=True))


@pytest.mark.parametrize("name", UNDER_NBVAL)
def test_a_cell_under_nbval(outcome, name):
    expected = UNDER_NBVAL[name][1]
    assert expected in outcome[name] if expected != "passes" else outcome[name] == "passes"


def test_the_stripped_cell_that_nbval_lets_pass_is_refused_by_the_rules(tmp_path):
    path = tmp_path / "00_stripped.ipynb"
    assert messages(path, v4.new_notebook(cells=[UNDER_NBVAL["stripped"][0]])) == [
        "00_stripped, cell 1 (\"print('unchecked')\"): run as [None], should be [1]: tests/regenerate.py"
    ]


def test_the_settings_of_nbval(pytestconfig):
    assert pytestconfig.getoption("nbval_current_env") is True
    assert pytestconfig.getoption("nbval_cell_timeout") == 300  # a dead kernel is noticed only then
    assert pytestconfig.getoption("nbval_sanitize_with") == str(ROOT / "tests" / "nbval_sanitize.cfg")
    from nbval.plugin import get_sanitize_patterns

    ((_, replacement),) = get_sanitize_patterns((ROOT / "tests" / "nbval_sanitize.cfg").read_text())
    assert replacement == "≈ NUMBER"  # the only rule: every other one would be a hole


@pytest.mark.parametrize(("new", "lines"), [("≈ 0.125", 0), ("≈ 0.126", 1), ("≈ 0.076", 0), ("≈ 0.074", 1)])
def test_the_bound_is_a_quarter(new, lines):
    far_numbers = runpy.run_path(str(ROOT / "conftest.py"))["far_numbers"]
    assert len(far_numbers([printed("≈ 0.100")], [printed(new)])) == lines
