"""Breaks the ground floor one place at a time and counts what the tests notice: python tests/mutants.py [MODULE ...]

The changes are those of cosmic-ray (``pip install cosmic-ray``: not a package of the course). A place is an operator, a
number, a condition, a loop, a decorator; at each of so many places, drawn by a seed, one of the changes that make sense
there is tried. Text is left alone, docstrings, messages and what f-strings show, and so are the functions `ELSEWHERE`.

TensorFlow is imported once, and every mutant runs in a forked child, where an import hook hands out the changed source:
first the tests that ran the changed line, then, if none failed, all of the module's test files. Stored in
``data/results/mutants.json``, where the reasons of survivors, written in by hand, are kept from run to run.
"""

import argparse
import contextlib
import gc
import importlib
import importlib.abc
import importlib.util
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path

import parso.tree  # before cosmic_ray, whose plugins import it in a circle otherwise # noqa: F401
import pytest
from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "data" / "results" / "mutants.json"
MODULES = {
    "roi": ["test_roi", "test_properties"],
    "camera": ["test_camera"],
    "metrics": ["test_metrics"],
    "world": ["test_world"],
    "detection": ["test_detection"],
    "depth": ["test_depth"],
    "kitti_rules": ["test_kitti_rules"],
    "drive_split": ["test_drive_split"],
    "comparison": ["test_comparison"],
    "weighing": ["test_weighing"],
    "multitask": ["test_multitask"],
    "compiled": ["test_compiled"],
    "encoder": ["test_encoder"],
}
HEAVY = ["numpy", "scipy.stats", "scipy.optimize", "keras", "tensorflow", "matplotlib.pyplot", "PIL.Image", "h5py"]
HEAVY += ["hypothesis.extra.numpy", "pycocotools.cocoeval"]
GROUPS = [
    {"Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow"},
    {"BitAnd", "BitOr", "BitXor"},
    {"Eq", "NotEq", "Lt", "LtE", "Gt", "GtE"},
    {"Is", "IsNot"},
    {"UAdd", "USub", "Delete", "Not"},
]
"""An operator is replaced by one of its own group: `<<` for `+` would only raise TypeError."""
UNTRACED = ("weighing", "multitask", "compiled", "encoder")
"""Their tests train or compile: followed line by line, TensorFlow would take minutes. All run, the fastest first."""
ELSEWHERE = ("_step_torch", "_step_jax", "_compile_for_jax", "_decoder_by_size")
"""Functions that need PyTorch or JAX: `test_backends.py` runs the tests there."""
LONGEST = 1200
"""Seconds of a child's clock. Its processor time is bounded too, by what the sound module takes."""


def places_of(source):
    """Where a module can be broken.

    Returns:
        A dict: (line, column, family of operators) to a list of (operator's name, its occurrence in the module).
    """
    tree = get_ast(source)
    left_alone = {node.start_pos for node in ast_nodes(tree) if _left_alone(node)}
    places = defaultdict(list)
    for name in sorted(plugins.operator_names()):
        short = name.split("/")[1]
        family, *between = short.split("_")
        if family in ("NoOp", "VariableInserter", "VariableReplacer") or (
            len(between) == 2 and not any(set(between) <= group for group in GROUPS)
        ):
            continue
        occurrence = 0
        for node in ast_nodes(tree):
            for start, _ in plugins.get_operator(name)().mutation_positions(node):
                if start not in left_alone:
                    places[(*start, family)].append((name, occurrence))
                occurrence += 1
    return dict(places)


def _left_alone(node):
    """Whether it stands in an f-string, or in a function that runs on another backend only."""
    while node is not None:
        if node.type.startswith("fstring") or (node.type == "funcdef" and node.name.value in ELSEWHERE):
            return True
        node = node.parent
    return False


def draw(source, count, seed):
    """At most so many mutants, no two at one place: a list of (line, operator's name, occurrence)."""
    generator, places = random.Random(seed), places_of(source)
    chosen = generator.sample(sorted(places), min(count, len(places)))
    return [(place[0], *generator.choice(places[place])) for place in chosen]


class Changed(importlib.abc.MetaPathFinder):
    """Imports one module from another file. A file it must be: TensorFlow reads the source of what it compiles."""

    def __init__(self, name, path):
        self.name, self.path = name, path

    def find_spec(self, name, path, target=None):
        return importlib.util.spec_from_file_location(name, self.path) if name == self.name else None


def path_of(name):
    return str(ROOT / f"{name.replace('.', '/')}.py")


class Order:
    """A plugin of pytest: which tests run, in which order."""

    def __init__(self, first, only):
        self.first, self.only = {name: place for place, name in enumerate(first)}, only

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        last = len(self.first)
        if self.only:
            items[:] = [item for item in items if item.nodeid in self.first]
        items.sort(key=lambda item: self.first.get(item.nodeid, last))


class Record:
    """A plugin of pytest: the seconds of each test, and the lines of a file that it ran."""

    def __init__(self, path):
        self.path, self.tests = path, {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        lines, started = set(), time.process_time()

        def line(frame, event, argument):
            lines.add(frame.f_lineno)
            return line

        if self.path:
            sys.settrace(lambda frame, event, argument: line if frame.f_code.co_filename == self.path else None)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            self.tests[item.nodeid] = [time.process_time() - started, sorted(lines)]


def in_child(work, processor_seconds):
    """Starts `work` (it returns an exit code) in a forked child; returns (the child's number, its folder)."""
    folder = tempfile.mkdtemp(prefix="mutant")
    child = os.fork()
    if child:
        return child, folder
    code = 70
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (int(processor_seconds) + 1,) * 2)
        resource.setrlimit(resource.RLIMIT_AS, (16 << 30,) * 2)
        with open(Path(folder, "log"), "w") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        code = work(folder)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def tests_of(module, folder, *plugins_of_pytest):
    paths = [str(ROOT / "tests" / f"{name}.py") for name in MODULES[module]]
    options = ["-x", "-q", "--tb=line", "--noconftest", "-o", "addopts=", "-p", "no:cacheprovider"]
    options += ["--rootdir", str(ROOT), "--basetemp", f"{folder}/tmp"]
    return int(pytest.main([*options, *paths], plugins=[*plugins_of_pytest]))


def sound(module, out):
    """Runs the tests of the module as it is; writes what `Record` has seen."""

    def work(folder):
        record = Record(None if module in UNTRACED else path_of(f"roidepth_lessons.{module}"))
        code = tests_of(module, folder, record)
        Path(out).write_text(json.dumps(record.tests))
        return code

    return work


def broken(module, source, first, only):
    """Runs tests of the module with another source."""

    def work(folder):
        path = Path(folder, f"{module}.py")
        path.write_text(source)
        sys.meta_path.insert(0, Changed(f"roidepth_lessons.{module}", path))
        return tests_of(module, folder, Order(first, only))

    return work


class Children:
    """At most so many children at once."""

    def __init__(self, jobs):
        self.jobs, self.running = jobs, {}

    def start(self, work, processor_seconds, then):
        while len(self.running) >= self.jobs:
            self.wait()
        child, folder = in_child(work, processor_seconds)
        self.running[child] = (folder, then, time.monotonic())

    def wait(self):
        """Until one has ended; calls its `then` with "survived", "caught" or "no end"."""
        while True:
            for child, (folder, then, started) in list(self.running.items()):
                ended, status = os.waitpid(child, os.WNOHANG)
                if not ended and time.monotonic() - started < LONGEST:
                    continue
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)
                if not ended:
                    os.waitpid(child, 0)
                del self.running[child]
                late = not ended or os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
                log = Path(folder, "log").read_text(errors="replace")
                shutil.rmtree(folder, ignore_errors=True)
                then("no end" if late else "survived" if status == 0 else "caught", log)
                return
            time.sleep(0.02)

    def finish(self):
        while self.running:
            self.wait()


def change_of(source, changed):
    """The line that differs, before and after."""
    pairs = zip(source.splitlines(), changed.splitlines(), strict=False)
    return next(((before.strip(), after.strip()) for before, after in pairs if before != after), ("", ""))


def measure(module, count, seed, jobs, old, again=False):
    """What `OUT` holds of one module. Again: only what survived in `old` is tried, for new tests of the same module."""
    source = Path(path_of(f"roidepth_lessons.{module}")).read_text()
    results, children = [], Children(jobs)
    with tempfile.TemporaryDirectory() as folder:
        failed = []
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        children.start(sound(module, f"{folder}/tests"), 3000, lambda end, log: failed.append((end, log)))
        children.finish()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if failed[0][0] != "survived":
            raise RuntimeError(f"{module}: its tests fail without a mutant: {failed[0][1][-3000:]}")
        tests = json.loads(Path(folder, "tests").read_text())
    allowed = 30 + 3 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    print(f"{module}: {len(tests)} tests, {allowed / 3 - 10:.0f} s of processor time", flush=True)
    survived = {(each["before"], each["after"]) for each in old.get("survivors", ())}
    chosen = draw(source, count, seed)
    for line, operator, occurrence in chosen:
        changed = mutate_code(source, plugins.get_operator(operator)(), occurrence)
        if again and change_of(source, changed) not in survived:
            continue
        traced = module not in UNTRACED
        first = [name for name, (_, lines) in tests.items() if line in lines or not traced]
        first.sort(key=lambda name: tests[name][0])

        def done(end, log, line=line, operator=operator, changed=changed, others=bool(first) and traced):
            if end == "survived" and others:
                work = broken(module, changed, [], False)
                children.start(work, allowed, lambda end, log: done(end, log, line, operator, changed, False))
                return
            before, after = change_of(source, changed)
            results.append({"line": line, "before": before, "after": after, "end": end, "operator": operator})
            if end == "survived":
                print(f"  {module}:{line}: {before}\n      {after}", flush=True)

        children.start(broken(module, changed, first, bool(first)), allowed, done)
    children.finish()
    reasons = {(each["before"], each["after"]): each["reason"] for each in old.get("survivors", ())}
    survivors = [each for each in sorted(results, key=lambda each: each["line"]) if each["end"] == "survived"]
    for each in survivors:
        del each["end"]
        each["reason"] = reasons.get((each["before"], each["after"]), "")
    places = places_of(source)
    caught = len(chosen) - len(survivors)
    return {
        "places": len(places),
        "possible": sum(map(len, places.values())),
        "tried": len(chosen),
        "caught": caught,
        "of these, without end": sum(each["end"] == "no end" for each in results if "end" in each),
        "share": round(caught / len(chosen), 4),
        "tests": MODULES[module],
        "survivors": survivors,
    }


def stored():
    return json.loads(OUT.read_text()) if OUT.is_file() else {}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", choices=[[], *MODULES])
    parser.add_argument("--count", type=int, default=100, help="of mutants in a module, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="try only what survived, with the same count and seed")
    options = parser.parse_args()
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    os.environ |= {"PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    os.environ |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # no lesson is run, and imports take time
    os.environ |= {"CUDA_VISIBLE_DEVICES": "-1", "MPLBACKEND": "agg"}
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT)
    for name in HEAVY:
        importlib.import_module(name)
    gc.freeze()  # or every child's first collection would copy the memory of TensorFlow
    for name in options.modules or MODULES:
        result = measure(name, options.count, options.seed, options.jobs, stored().get(name, {}), options.again)
        results = stored()
        results[name] = result | {"tool": f"cosmic-ray {version('cosmic-ray')}", "seed": options.seed}
        if options.again:
            old = stored()[name]
            results[name]["of these, without end"] += old["of these, without end"]
            results[name]["caught_before_new_tests"] = old.get("caught_before_new_tests", old["caught"])
        results[name]["command"] = f"python tests/mutants.py {name} --count {options.count} --seed {options.seed}"
        OUT.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        print(
            time.strftime("%H:%M"),
            name,
            {key: results[name][key] for key in ("places", "tried", "caught", "share")},
            flush=True,
        )


if __name__ == "__main__":
    main()
