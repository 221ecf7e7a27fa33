"""Runs lessons with other seeds and keeps what came out: python tests/seeds.py [--seeds 1-10] NOTEBOOK ...

For each seed the ``SEED`` of the lesson's code is replaced, every cell is run, and two things are kept in
``data/results/seeds/NOTEBOOK.json``: which cells failed, and what the cell of the lesson's numbers printed. Then every
line of that is printed with the mean and the range of its numbers: what a lesson says about several seeds, it has from
here. Seeds that are in the file are not run again, unless the lesson's code has changed since.

With ``--stored`` nothing is run.
"""

import argparse
import copy
import hashlib
import json
import re
import sys
from pathlib import Path

import lesson_rules
import regenerate

from roidepth_lessons import DATA_FOLDER
from roidepth_lessons.kitti import write_text
from roidepth_lessons.session import counted
from roidepth_lessons.study_book import facts

FOLDER = DATA_FOLDER / "results" / "seeds"
SEED = re.compile(r"^(SEED\b[\w, ]*= )\d+", re.MULTILINE)
READS_HERE = '"results" / "seeds"'
"""What a cell holds that reads what is kept: it can't be run before there is something, and its code doesn't count."""
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")


def with_seed(notebook, seed):
    """A copy of a notebook whose `SEED` is another, and whose cells that read what is kept here do nothing.

    Raises:
        ValueError: if no cell sets `SEED` to a number, or more than one does.
    """
    notebook, found = copy.deepcopy(notebook), 0
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = "" if READS_HERE in cell.source else cell.source
            cell.source, count = SEED.subn(rf"\g<1>{seed}", cell.source)
            found += count
    if found != 1:
        raise ValueError(f"wanted one line that begins with SEED and sets it to a number, found {found}")
    return notebook


def outcome(path, notebook, seed):
    """Runs a lesson with a seed: ``{"failed": ["cell: error", …], "numbers": [line, …]}``."""
    after = regenerate.run(path, with_seed(notebook, seed), go_on=True)
    lesson, failed, numbers = lesson_rules.Lesson(path, after), [], []
    for index, cell in enumerate(after.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                failed.append(lesson.say(f"{output.ename}: {output.evalue}", index))
            elif output.output_type == "stream" and "numbers" in cell.metadata.get("tags", []):
                numbers += [line for line in output.text.splitlines() if not line.startswith("✓")]
    return {"failed": failed, "numbers": numbers}


def code_of(notebook):
    """A short hash of a notebook's code, without what only reads here, and without the exercises."""
    sources = [each.source for each in notebook.cells if each.cell_type == "code"]
    sources = [each for each in sources if READS_HERE not in each and "check_exercise(" not in each]
    return hashlib.sha256("\n".join(sources).encode()).hexdigest()[:16]


def stored(path):
    """What is kept of a lesson; of one that was never run, an empty record."""
    file = FOLDER / f"{path.stem}.json"
    return json.loads(file.read_text()) if file.is_file() else {"seeds": {}}


def run_seeds(path, seeds):
    """Runs a lesson with every seed that is not kept yet, and keeps each as soon as it is done."""
    notebook, record = lesson_rules.read(path).notebook, stored(path)
    if record.get("code") != code_of(notebook):
        record = {"seeds": {}}
    command = f"python tests/seeds.py --seeds {seeds.start}-{seeds.stop - 1} notebooks/{path.name}"
    record |= {"code": code_of(notebook), **facts(command)}
    missing = [seed for seed in seeds if str(seed) not in record["seeds"]]
    for seed in counted(missing, path.stem):
        record["seeds"] |= {str(seed): outcome(path, notebook, seed)}
        record["seeds"] = dict(sorted(record["seeds"].items(), key=lambda item: int(item[0])))
        text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
        FOLDER.mkdir(parents=True, exist_ok=True)
        write_text(FOLDER / f"{path.stem}.json", text)
    return record


def summary(path, record):
    """What is kept of a lesson, as text: each line of its numbers with their mean and range, and what failed."""
    seeds = record["seeds"]
    current = record.get("code") == code_of(lesson_rules.read(path).notebook)
    yield f"{path.stem}: {len(seeds)} seeds" + ("" if current else "; OF OTHER CODE than the notebook's")
    for lines in zip(*(each["numbers"] for each in seeds.values()), strict=False):
        yield "  " + joined(lines)
    for seed, each in seeds.items():
        for message in each["failed"]:
            yield f"  seed {seed} FAILED: {message}"


def joined(lines):
    """The same line of several seeds as one: a number that differs becomes ``mean [lowest, highest]``.

    >>> joined(["depth  30 %", "depth 134 %"])
    'depth 82 [30, 134] %'
    """
    texts = {" ".join(NUMBER.sub("\0", line).split()) for line in lines}
    if len(texts) > 1:
        return f"(lines of different form) {lines[0]}"
    columns = zip(*(NUMBER.findall(line) for line in lines), strict=True)
    numbers = iter([_joined_numbers(column) for column in columns])
    return re.sub("\0", lambda _: next(numbers), texts.pop())


def _joined_numbers(texts):
    if len(set(texts)) == 1:
        return texts[0]
    places = max(len(text.partition(".")[2]) for text in texts)
    values = [float(text.replace(",", "")) for text in texts]
    mean, low, high = (f"{value:.{places}f}" for value in (sum(values) / len(values), min(values), max(values)))
    return f"{mean} [{low}, {high}]"


def main(arguments=None):
    """The command. Returns 1 if a cell failed with some seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK")
    parser.add_argument("--seeds", default="1-10", help="first and last (default %(default)s)")
    parser.add_argument("--stored", action="store_true", help="run nothing, print what is kept")
    options = parser.parse_args(arguments)
    ends = re.fullmatch(r"(\d+)-(\d+)", options.seeds)
    if not ends:
        parser.error(f"--seeds: wanted two numbers such as 1-10, got {options.seeds}")
    failed = False
    for path in options.notebooks:
        if path.suffix != ".ipynb" or not path.is_file():
            parser.error(f"{path} is not a notebook")
        record = stored(path) if options.stored else run_seeds(path, range(int(ends[1]), int(ends[2]) + 1))
        print("\n".join(summary(path, record)), flush=True)
        failed |= any(each["failed"] for each in record["seeds"].values())
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
