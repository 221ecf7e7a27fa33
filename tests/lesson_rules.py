"""The rules of lessons and solutions; notebooks/README.md says them in words.

Each rule is a function: lesson -> list of messages that name the notebook and the cell, empty if all is well.
"""

import ast
import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from statistics import median
from urllib.parse import unquote

import nbformat
from nbval import plugin as nbval

from roidepth_lessons import checks

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
PACKAGE = ROOT / "roidepth_lessons"

HEAD = ("Question.", "Afterwards you can", "You need", "Time.", "Module.")
SECTIONS = (
    "See it", "By hand", "The module", "Use it", "Break it on purpose",
    "Questions", "Exercises", "Summary", "Take it with you", "References",
)  # fmt: skip
TAGS = {
    "pipeline": None,
    "setup": None,
    "prediction": "See it",
    "agreement": "The module",
    "baseline": "Use it",
    "bug": "Break it on purpose",
    "cure": "Break it on purpose",
    "numbers": "Summary",
}
"""Each tag and its section; None is before the first."""
IGNORE_TAG = "nbval-ignore-output"
KINDS = ("predict", "change", "build")

CELLS = 35, 55
WORDS = 900, 2200
CODE_LINES = 100, 220
EXERCISES = 3, 4
QUESTIONS = 3
REFERENCES = 2, 4
LONGEST_CELL, MEDIAN_CELL, CODE_CELLS_IN_A_ROW = 35, 6, 2
LARGEST_FILE = 300_000
SHORTEST_ALT_TEXT = 20

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

FENCE = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)
IMAGE_OR_LINK = re.compile(r"(!?)\[((?:[^\[\]]|!?\[[^\[\]]*\])*)\]\(\s*<?((?:[^()\s>]|\([^()\s]*\))*)>?[^)]*\)")
EXERCISE_HEADING = re.compile(r"^#{2,3} Exercise (\d\d\.\d)\b(?: · (\w+): \S)?", re.MULTILINE)
((_about, _),) = nbval.get_sanitize_patterns((ROOT / "tests" / "nbval_sanitize.cfg").read_text())
ABOUT = re.compile(_about + r"(?![\w.,]*\d)")
"""A number that may differ, as nbval will find it, and nothing left over."""


@dataclass
class Lesson:
    """A notebook with its place: lessons and solutions alike."""

    path: Path
    notebook: nbformat.NotebookNode

    @property
    def name(self):
        return f"solutions/{self.path.stem}" if self.is_solution else self.path.stem

    @property
    def number(self):
        return int(self.path.stem[:2])

    @property
    def is_solution(self):
        return self.path.parent.name == "solutions"

    @property
    def is_full(self):
        """Whether it owes the whole anatomy: every lesson but 00."""
        return not self.is_solution and self.number > 0

    @property
    def cells(self):
        return self.notebook.cells

    @cached_property
    def code_cells(self):
        return [(index, cell) for index, cell in enumerate(self.cells) if cell.cell_type == "code"]

    @cached_property
    def text_cells(self):
        return [(index, cell) for index, cell in enumerate(self.cells) if cell.cell_type != "code"]

    @cached_property
    def section_of(self):
        """The section of every cell; None before the first."""
        places, current = [], None
        for cell in self.cells:
            if cell.cell_type == "markdown" and cell.source.startswith("## "):
                current = section_name(cell.source.splitlines()[0])
            places.append(current)
        return places

    def within(self, section, kind=None):
        """(index, cell) of the cells of a section, all or those of one kind."""
        pairs = enumerate(zip(self.cells, self.section_of, strict=True))
        return [(i, cell) for i, (cell, place) in pairs if place == section and kind in (None, cell.cell_type)]

    def text(self, section):
        return "\n\n".join(cell.source for _, cell in self.within(section, "markdown"))

    def tagged(self, tag):
        return [(index, cell) for index, cell in enumerate(self.cells) if tag in tags(cell)]

    def say(self, message, index=None):
        """A message that names the notebook and, if it is about one, the cell and how it begins."""
        if index is None:
            return f"{self.name}: {message}"
        first = next(iter(self.cells[index].source.strip().splitlines()), "")
        return f"{self.name}, cell {index + 1} ({first[:40]!r}): {message}"

    @cached_property
    def head(self):
        """What stands after each label of the head."""
        source = self.cells[0].source if self.cells else ""
        labels = "|".join(map(re.escape, HEAD))
        _, *parts = re.split(rf"^\*\*({labels})\*\*", source, flags=re.MULTILINE)
        return {label: text.strip() for label, text in zip(parts[::2], parts[1::2], strict=True)}

    @cached_property
    def modules(self):
        """Names of the modules the head says this lesson builds."""
        return re.findall(r"`roidepth_lessons\.(\w+)`", self.head.get("Module.", ""))

    @cached_property
    def exercises(self):
        """(index, id, kind) of every exercise's heading."""
        found = [(i, EXERCISE_HEADING.match(cell.source)) for i, cell in self.text_cells]
        return [(i, match[1], match[2]) for i, match in found if match]


def read(path):
    return Lesson(Path(path), nbformat.read(path, as_version=4))


def paths(folder=NOTEBOOKS):
    """Every lesson, then every solutions notebook."""
    return [*sorted(folder.glob("[0-9][0-9]_*.ipynb")), *sorted(folder.glob("solutions/*.ipynb"))]


def problems(lesson):
    """All messages of all rules that hold for this notebook."""
    rules = EVERY_NOTEBOOK + (FULL_LESSON if lesson.is_full else ()) + (SOLUTION if lesson.is_solution else ())
    return [message for rule in rules for message in rule(lesson)]


# Every notebook.


def is_executed(lesson):
    messages = []
    for expected, (index, cell) in enumerate(lesson.code_cells, start=1):
        if cell.execution_count != expected:
            count = cell.execution_count
            messages.append(lesson.say(f"run as [{count}], should be [{expected}]: tests/regenerate.py", index))
    return messages or ([] if lesson.code_cells else [lesson.say("has no code cell")])


def is_quiet(lesson):
    messages = []
    for index, cell in lesson.code_cells:
        for output in cell.outputs:
            if output.output_type == "error":
                messages.append(lesson.say(f"stores an error: {output.ename}; catch it and print its message", index))
            elif output.get("name") == "stderr":
                messages.append(lesson.say(f"stores text on stderr: {output.text[:60]!r}", index))
    return messages


def comes_out_the_same(lesson):
    """Refuses outputs that no second run can repeat, and ≈ numbers that the comparison cannot read."""
    messages = []
    for index, cell in lesson.code_cells:
        text = "\n".join(output_texts(cell))
        if re.search(r" at 0x[0-9a-f]{6,}", text):
            messages.append(lesson.say("stores an object's address; end with plt.show() or an assignment", index))
        if re.search(r"\r(?!\n)", text):
            messages.append(lesson.say("stores a carriage return: tests/regenerate.py keeps the last text only", index))
        for match in re.finditer(r"≈[^\n≈]{0,16}", text):
            number = ABOUT.match(match[0])
            if not number:
                messages.append(lesson.say(f"{match[0]!r}: after ≈ comes one space and a plain number", index))
            elif significant_digits(number[0]) < 2:
                messages.append(lesson.say(f"{number[0]!r} needs two significant digits, not starting at 0", index))
    return messages


def is_hardly_ignored(lesson):
    messages = []
    allowed = {*TAGS, IGNORE_TAG}
    for index, cell in enumerate(lesson.cells):
        messages += [lesson.say(f"the tag {tag!r} is not allowed", index) for tag in tags(cell) if tag not in allowed]
    for index, cell in lesson.code_cells:
        comments = [line.strip() for line in cell.source.splitlines() if line.strip().startswith("#")]
        marks = [line for line in comments if line.lstrip("#").strip().upper() in nbval.comment_markers]
        messages += [lesson.say(f"the comment {mark!r} is not allowed: use a tag", index) for mark in marks]
    ignored = len(lesson.tagged(IGNORE_TAG))
    if ignored * 10 > len(lesson.code_cells):
        messages.append(lesson.say(f"{ignored} of {len(lesson.code_cells)} code cells are ignored; one in ten may be"))
    return messages


def is_plain_python(lesson):
    messages = []
    for index, cell in lesson.code_cells:
        try:
            ast.parse(cell.source)
        except SyntaxError as error:
            messages.append(lesson.say(f"is not plain Python (line {error.lineno}): no magics, no shell lines", index))
    return messages


def has_small_cells(lesson):
    messages = []
    for index, cell in enumerate(lesson.cells):
        if count_lines(cell) > LONGEST_CELL:
            messages.append(lesson.say(f"has {count_lines(cell)} lines; at most {LONGEST_CELL}", index))
    middle = median([count_lines(cell) for _, cell in lesson.code_cells] or [0])
    if middle > MEDIAN_CELL:
        messages.append(lesson.say(f"the median code cell has {middle:g} lines; at most {MEDIAN_CELL}"))
    return messages


def is_small_enough(lesson):
    size = lesson.path.stat().st_size
    return [lesson.say(f"has {size / 1000:.0f} kB; at most {LARGEST_FILE // 1000}")] if size > LARGEST_FILE else []


def has_alt_texts(lesson):
    messages, seen = [], set()
    for index, text in figures(lesson):
        if len(text) < SHORTEST_ALT_TEXT:
            messages.append(lesson.say(f"a figure has no alt text, or a short one ({text!r}): draw.show() it", index))
        elif text in seen:
            messages.append(lesson.say(f"a figure repeats the alt text of another one: {text[:60]!r}", index))
        seen.add(text)
    return messages


def has_links_that_resolve(lesson):
    messages = []
    for index, cell in lesson.text_cells:
        text = without_code(cell.source)
        if re.search(r"<(a|img)\b", text) or re.search(r"^\[[^\]]+\]:", text, re.MULTILINE):
            messages.append(lesson.say("write links and pictures inline in Markdown: [text](target)", index))
        for match in IMAGE_OR_LINK.finditer(text):
            nested = [inner[3] for inner in IMAGE_OR_LINK.finditer(match[2])]
            for target in (match[3], *nested):
                fault = fault_of_link(lesson, target)
                messages += [lesson.say(f"link {target!r}: {fault}", index)] if fault else []
    return messages


def shows_the_package_s_code(lesson):
    """A definition under a name of the package is the package's, as a syntax tree without docstrings."""
    messages = []
    for index, cell in lesson.code_cells:
        for definition in definitions(cell.source):
            places = package_definitions().get(definition.name, {})
            if definition.name.startswith("_"):
                places = {module: tree for module, tree in places.items() if module in lesson.modules}
            if places and shape(definition) not in places.values():
                where = " and ".join(f"roidepth_lessons/{module}.py" for module in places)
                messages.append(lesson.say(f"{definition.name} differs from the one in {where}; or rename it", index))
    return messages


# Full lessons.


def has_a_head(lesson):
    messages = []
    source = lesson.cells[0].source if lesson.cells and lesson.cells[0].cell_type == "markdown" else ""
    if not re.match(rf"# {lesson.number:02d} · \S", source):
        messages.append(lesson.say(f"the first cell must begin with '# {lesson.number:02d} · title'"))
    messages += [lesson.say(f"the head lacks '**{label}** ...'", 0) for label in HEAD if not lesson.head.get(label)]
    if lesson.head.get("Question.") and lesson.head["Question."].count("?") != 1:
        messages.append(lesson.say("the head must ask one question", 0))
    time = lesson.head.get("Time.", "")
    if time and not re.search(r"\d+ minutes? to read, \d+ (minutes?|seconds?) to run", time):
        messages.append(lesson.say("the head's time must read '20 minutes to read, 1 minute to run'", 0))
    if lesson.head.get("Module.") and not lesson.modules:
        messages.append(lesson.say("the head names no module as `roidepth_lessons.name`", 0))
    missing = [name for name in lesson.modules if not (PACKAGE / f"{name}.py").exists()]
    messages += [lesson.say(f"roidepth_lessons/{name}.py does not exist", 0) for name in missing]
    for neighbour in neighbours(lesson):
        if f"]({neighbour.name})" not in source:
            messages.append(lesson.say(f"the head does not link to {neighbour.name}", 0))
    return messages


def has_the_sections(lesson):
    messages, found = [], []
    for index, cell in lesson.text_cells:
        for line_number, line in enumerate(without_fences(cell.source).splitlines()):
            if line.startswith("## "):
                found.append(section_name(line))
                if line_number:
                    messages.append(lesson.say(f"{line!r} must be the first line of its cell", index))
                if found[-1] not in SECTIONS:
                    messages.append(lesson.say(f"{line!r} is no section; smaller headings (###) are free", index))
    missing = [name for name in SECTIONS if name not in found]
    messages += [lesson.say(f"the section '## {name}' is missing") for name in missing]
    known = [name for name in found if name in SECTIONS]
    if known != [name for name in SECTIONS if name not in missing]:
        messages.append(lesson.say(f"the sections are out of order or double: {', '.join(known)}"))
    return messages


def has_the_tagged_cells(lesson):
    messages = []
    for tag, section in TAGS.items():
        place = f"in '## {section}'" if section else "before the first section"
        if not lesson.tagged(tag):
            messages.append(lesson.say(f"no cell {place} is tagged {tag!r}"))
        for index, cell in lesson.tagged(tag):
            kind = "markdown" if tag == "prediction" else "code"
            if cell.cell_type != kind or lesson.section_of[index] != section:
                messages.append(lesson.say(f"the tag {tag!r} belongs on a {kind} cell {place}", index))
    return messages


def starts_with_the_pipeline(lesson):
    messages = []
    for index, cell in lesson.tagged("pipeline"):
        if not any("Lit: " in text for text in alt_texts(cell)):
            messages.append(lesson.say("must show draw.pipeline with today's part lit", index))
    for index, cell in lesson.tagged("setup"):
        if "start" not in calls(cell):
            messages.append(lesson.say("the set-up cell must call start()", index))
    order = [tag for _, cell in lesson.code_cells[:2] for tag in tags(cell) if tag in ("pipeline", "setup")]
    if order != ["pipeline", "setup"]:
        messages.append(lesson.say("the first two code cells must be the pipeline and the set-up"))
    return messages


def asks_before_it_shows(lesson):
    first_code = next((i for i, _ in lesson.within("See it", "code")), None)
    if first_code is None:
        return [lesson.say("'## See it' shows nothing: it has no code cell")]
    asked = [cell for i, cell in lesson.tagged("prediction") if i < first_code and "?" in cell.source]
    return [] if asked else [lesson.say("'## See it' must ask for a prediction before its first code cell")]


def does_what_the_sections_promise(lesson):
    messages = []
    for section in ("By hand", "The module", "Use it", "Break it on purpose"):
        if section in lesson.section_of and not lesson.within(section, "code"):
            messages.append(lesson.say(f"'## {section}' has no code cell"))
    for index, cell in lesson.tagged("agreement"):
        if "check" not in calls(cell):
            messages.append(lesson.say("must check() that the module agrees with the hand-made one", index))
    for tag in ("bug", "cure"):
        for index, cell in lesson.tagged(tag):
            if not cell.get("outputs"):
                messages.append(lesson.say(f"the {tag} shows nothing: it has no output", index))
    for index, cell in lesson.tagged("numbers"):
        if not re.search(r"\d", "\n".join(output_texts(cell))):
            messages.append(lesson.say("prints no numbers", index))
    return messages


def has_questions_with_folded_answers(lesson):
    text, messages = lesson.text("Questions"), []
    folded = re.findall(r"<details>\s*<summary>Answer</summary>\n\n(?:(?!<details>).)+?</details>", text, re.DOTALL)
    if len(folded) != QUESTIONS or text.count("<details") != QUESTIONS:
        form = "<details><summary>Answer</summary>, an empty line, the answer, </details>"
        messages.append(lesson.say(f"'## Questions' has {len(folded)} folded answers; {QUESTIONS} wanted, each {form}"))
    asked = re.sub(r"<details.*?</details>", "", text, flags=re.DOTALL).count("?")
    if asked < QUESTIONS:
        messages.append(lesson.say(f"'## Questions' asks {asked} questions; {QUESTIONS} wanted"))
    return messages


def has_exercises(lesson):
    exercises = lesson.exercises
    messages = [lesson.say(fault, index) for index, *_ in exercises for fault in faults_of_exercise(lesson, index)]
    if not EXERCISES[0] <= len(exercises) <= EXERCISES[1]:
        messages.append(lesson.say(f"has {len(exercises)} exercises; {EXERCISES[0]} or {EXERCISES[1]} wanted"))
    ids, wanted = [each for _, each, _ in exercises], [f"{lesson.number:02d}.{i + 1}" for i in range(len(exercises))]
    if ids != wanted:
        messages.append(lesson.say(f"the exercises are numbered {ids}, not {wanted}"))
    kinds = {kind for _, _, kind in exercises}
    messages += [lesson.say(f"has no exercise of the kind {kind!r}") for kind in KINDS if kind not in kinds]
    known = [each for each in checks.exercises() if each.startswith(f"{lesson.number:02d}.")]
    orphans = [each for each in known if each not in ids]
    messages += [lesson.say(f"checks.EXERCISES has {each}, the lesson has not") for each in orphans]
    return messages


def can_be_taken_along(lesson):
    section, text, messages = "Take it with you", lesson.text("Take it with you"), []
    blocks = [match[0].split("\n", 1)[1].rsplit("\n", 1)[0] for match in FENCE.finditer(text)]
    blocks += [cell.source for _, cell in lesson.within(section, "code")]
    imported = [pair for block in blocks for pair in package_imports(block)]
    if not imported:
        messages.append(lesson.say(f"'## {section}' has no code block that imports from roidepth_lessons"))
    for module, name in imported:
        if name not in names_of_module(module):
            messages.append(lesson.say(f"'## {section}': roidepth_lessons.{module} has no {name}"))
    if not re.search(r"\bneeds?\b", without_fences(text)):
        messages.append(lesson.say(f"'## {section}' does not say what the module needs"))
    return messages


def has_references(lesson):
    items = re.split(r"^[-*] ", lesson.text("References"), flags=re.MULTILINE)[1:]
    messages = []
    if not REFERENCES[0] <= len(items) <= REFERENCES[1]:
        messages.append(lesson.say(f"'## References' lists {len(items)}; {REFERENCES[0]} to {REFERENCES[1]} wanted"))
    for item in items:
        if not re.search(r"Why:\*?\s+\S+\s+\S+\s+\S+", item):
            messages.append(lesson.say(f"the reference {item[:50]!r} has no 'Why: ...' of three words or more"))
    return messages


def keeps_to_the_limits(lesson):
    messages = []
    for what, number, (least, most) in (
        ("cells", len(lesson.cells), CELLS),
        ("words", count_words(lesson), WORDS),
        ("lines of code", count_code(lesson), CODE_LINES),
    ):
        if not least <= number <= most:
            messages.append(lesson.say(f"has {number} {what}; {least} to {most} wanted"))
    row = 0
    for index, cell in enumerate(lesson.cells):
        row = row + 1 if cell.cell_type == "code" else 0
        if row == CODE_CELLS_IN_A_ROW + 1:
            messages.append(lesson.say(f"more than {CODE_CELLS_IN_A_ROW} code cells in a row", index))
    return messages


def has_a_solution(lesson):
    path = solution_path(lesson)
    return [] if path.exists() else [lesson.say(f"solutions/{path.name} does not exist")]


# Solutions.


def solves_every_exercise(lesson):
    original = lesson.path.parent.parent / lesson.path.name
    if not original.exists():
        return [lesson.say(f"there is no lesson {original.name}")]
    messages, ids = [], [each for _, each, _ in lesson.exercises]
    if f"](../{original.name})" not in "".join(cell.source for _, cell in lesson.text_cells[:1]):
        messages.append(lesson.say(f"the first cell does not link back to ../{original.name}"))
    for each in (each for _, each, _ in read(original).exercises if each not in ids):
        messages.append(lesson.say(f"has no heading '## Exercise {each}'"))
    for index, each, _ in lesson.exercises:
        if lesson.cells[index].source.splitlines()[0] != f"## Exercise {each}":
            messages.append(lesson.say(f"the heading must be '## Exercise {each}', links end in it", index))
        if f"Exercise {each}: right" not in check_output(lesson, index, each):
            messages.append(lesson.say(f"no cell stores 'Exercise {each}: right'", index))
    return messages


EVERY_NOTEBOOK = (
    is_executed, is_quiet, comes_out_the_same, is_hardly_ignored, is_plain_python, has_small_cells, is_small_enough,
    has_alt_texts, has_links_that_resolve, shows_the_package_s_code,
)  # fmt: skip
FULL_LESSON = (
    has_a_head, has_the_sections, has_the_tagged_cells, starts_with_the_pipeline, asks_before_it_shows,
    does_what_the_sections_promise, has_questions_with_folded_answers, has_exercises, can_be_taken_along,
    has_references, keeps_to_the_limits, has_a_solution,
)  # fmt: skip
SOLUTION = (solves_every_exercise,)


# What the rules look at.


def tags(cell):
    return cell.metadata.get("tags", [])


def section_name(heading):
    return heading.removeprefix("## ").split(":")[0].strip()


def without_fences(text):
    """The text with code blocks emptied; lines keep their numbers."""
    return FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)


def without_code(text):
    """The text without code blocks, code in the line, and formulas: nothing there is a link."""
    return re.sub(r"(`+).*?\1|\$[^$\n]+\$", "", without_fences(text), flags=re.DOTALL)


def count_lines(cell):
    return sum(1 for line in cell.source.splitlines() if line.strip())


def count_code(lesson):
    return sum(count_lines(cell) for _, cell in lesson.code_cells)


def count_words(lesson):
    """Words that a reader reads: no code blocks, no link targets, no HTML tags."""
    text = "\n".join(without_fences(cell.source) for _, cell in lesson.text_cells)
    text = re.sub(r"\]\([^)]*\)|<[^<>]+>", " ", text)
    return len(re.findall(r"\w[\w'’.,-]*", text))


def output_texts(cell):
    """Every text of a cell's outputs: streams, plain text, HTML."""
    texts = [output.text for output in cell.get("outputs", []) if "text" in output]
    bundles = [output.data for output in cell.get("outputs", []) if "data" in output]
    return texts + [data[kind] for data in bundles for kind in data if kind.startswith("text/")]


def alt_texts(cell):
    """The alt text of every picture a cell shows, "" where there is none."""
    outputs = [output for output in cell.get("outputs", []) if "data" in output]
    pictures = [(output, kind) for output in outputs for kind in output.data if kind.startswith("image/")]
    return [output.get("metadata", {}).get(kind, {}).get("alt", "").strip() for output, kind in pictures]


def figures(lesson):
    """(index, alt text) of every picture, whether a cell shows it or Markdown links it."""
    found = []
    for index, cell in enumerate(lesson.cells):
        if cell.cell_type == "code":
            found += [(index, text) for text in alt_texts(cell)]
        else:
            links = IMAGE_OR_LINK.finditer(without_code(cell.source))
            found += [(index, match[2].strip()) for match in links if match[1]]
    return found


def significant_digits(number):
    """How many digits "≈ 0.0151" (3) or "≈ 120" (3) states."""
    return len(re.sub(r"e.*|[^0-9]", "", number).lstrip("0"))


def neighbours(lesson):
    """The lessons before and after, where they exist."""
    folder = lesson.path.parent
    return [path for step in (-1, 1) for path in folder.glob(f"{lesson.number + step:02d}_*.ipynb")]


def solution_path(lesson):
    return lesson.path.parent / "solutions" / lesson.path.name


def fault_of_link(lesson, target):
    """What is wrong with a link, or None. Pages on the net are not asked for: tests run without it."""
    if re.match(r"https?://\w+[\w.-]*\.\w+", target):
        return None
    file, _, anchor = target.partition("#")
    if not file and not anchor or "://" in target:
        return "leads nowhere"
    folder = lesson.path.parent.parent if lesson.is_solution else lesson.path.parent
    path = (lesson.path.parent / unquote(file)).resolve() if file else lesson.path
    if not path.is_relative_to(folder.resolve()) and file:
        return "leaves notebooks/, the folder that JupyterLab opens"
    if not path.exists():
        return "there is no such file"
    cells = lesson.cells if not file else None
    if anchor and unquote(anchor) not in anchors(path, cells):
        return f"{path.name} has no such heading"
    return None


def anchors(path, cells=None):
    """The anchors of a notebook's headings as JupyterLab makes them, of a Markdown file's as GitHub does."""
    if path.suffix == ".ipynb":
        cells = nbformat.read(path, as_version=4).cells if cells is None else cells
        texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
        return {line.replace(" ", "-") for text in texts for line in headings(text)}
    if path.suffix == ".md":
        return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in headings(path.read_text())}
    return set()


def headings(text):
    """The headings of a Markdown text, without marks of emphasis and code."""
    lines = re.findall(r"^#{1,6} +(.+?)[ #]*$", without_fences(text), re.MULTILINE)
    return [re.sub(r"[*`]|\[([^\]]*)\]\([^)]*\)", r"\1", line).strip() for line in lines]


def calls(cell):
    """Names of the functions that a cell calls: `check` for check(...) and for checks.check(...)."""
    return {name for name, _ in calls_with_first(cell.source)}


def calls_with_first(source):
    """(name, first argument if it is a constant) of every call in a piece of code."""
    try:
        nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    except SyntaxError:
        return []
    return [
        (
            getattr(node.func, "attr", getattr(node.func, "id", "")),
            node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None,
        )
        for node in nodes
    ]


def faults_of_exercise(lesson, index):
    source = lesson.cells[index].source
    each, kind = next((each, kind) for i, each, kind in lesson.exercises if i == index)
    solution = f"](solutions/{lesson.path.name}#Exercise-{each})"
    if lesson.section_of[index] != "Exercises":
        yield "an exercise outside '## Exercises'"
    if kind not in KINDS:
        yield f"the heading must read '### Exercise {each} · {'|'.join(KINDS)}: what it is about'"
    if not re.search(r"<details>\s*<summary>Hint</summary>.+?</details>", source, re.DOTALL):
        yield "has no <details><summary>Hint</summary> ... </details>"
    if solution not in source:
        yield f"does not link to its solution: [Solution{solution}"
    if each not in checks.exercises():
        yield f"checks.EXERCISES has no entry {each!r}"
    if f"Exercise {each}: not tried yet" not in check_output(lesson, index, each):
        yield f"no cell below it calls check_exercise({each!r}, ...) on a stub and stores 'not tried yet'"


def check_output(lesson, index, exercise):
    """What the exercise's check printed: the outputs of the cells that call it, up to the next heading."""
    text = ""
    for cell in lesson.cells[index + 1 :]:
        if cell.cell_type == "markdown" and re.match(r"#{1,3} ", cell.source):
            break
        if cell.cell_type == "code" and ("check_exercise", exercise) in calls_with_first(cell.source):
            text += "\n".join(output_texts(cell))
    return text


def definitions(source):
    """Functions and classes at the top of a piece of code."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return []
    return [node for node in body if isinstance(node, DEFINITIONS)]


@cache
def package_definitions():
    """{name: {module: its syntax tree}} of everything the package defines at the top of a module."""
    found = {}
    for path in sorted(PACKAGE.glob("*.py")):
        for definition in definitions(path.read_text()):
            found.setdefault(definition.name, {})[path.stem] = shape(definition)
    return found


def shape(definition):
    """A definition as text that two definitions share if their code is the same; takes the docstrings out of it."""
    for node in ast.walk(definition):
        if isinstance(node, DEFINITIONS) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(definition)


def package_imports(source):
    """(module, name) of everything a piece of code imports from the package; the package itself is "__init__"."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError:
        return []
    pairs = []
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE.name:
            pairs += [(node.module.partition(".")[2] or "__init__", each.name) for each in node.names]
    return pairs


def names_of_module(module):
    """Names that `from roidepth_lessons.module import ...` can find, read without importing it."""
    path = PACKAGE / f"{module}.py"
    names = {each.stem for each in PACKAGE.glob("*.py")} if module == "__init__" else set()
    for node in ast.parse(path.read_text()).body if path.exists() else ():
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", node)]
        names |= {getattr(each, "id", getattr(each, "name", "")) for each in targets}
    return names


def table(lessons, more=None):
    """A Markdown table of the sizes of lessons and solutions; `more` maps further headings to a text per lesson."""
    more = more or {}
    headings = ["cells", "words", "lines of code", "figures", "exercises", "kB", *more]
    lines = [f"| notebook | {' | '.join(headings)} |", "| --- " + "| ---: " * len(headings) + "|"]
    for lesson, *texts in zip(lessons, *more.values(), strict=True):
        numbers = (
            len(lesson.cells), count_words(lesson), count_code(lesson), len(figures(lesson)), len(lesson.exercises),
            round(lesson.path.stat().st_size / 1000), *texts,
        )  # fmt: skip
        lines.append(f"| `{lesson.name}` | " + " | ".join(map(str, numbers)) + " |")
    return "\n".join(lines)
