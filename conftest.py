"""Settings for every test and every kernel, and the comparison of numbers that may differ a little."""

import copy
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
SANITIZE = ROOT / "tests" / "nbval_sanitize.cfg"
TOLERANCE = 0.25
"""How far a number printed as "≈ 0.151" may be from the stored one, as a part of it: what another processor does."""

os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# Kernels inherit this. Set, it would keep pyplot's figures from being shown, which JupyterLab does show.
os.environ.pop("MPLBACKEND", None)


def pytest_configure(config):
    """The sanitize file is named by its whole path: pytest looks it up from the current folder otherwise."""
    config.option.nbval_sanitize_with = str(SANITIZE)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """After nbval found a cell's outputs equal but for the ≈ numbers, compares those with the stored ones."""
    from nbval.plugin import IPyNbCell

    if not isinstance(item, IPyNbCell):
        return (yield)
    stored = copy.deepcopy(item.cell.outputs)  # nbval joins streams in place
    result = yield
    if item.options["check"]:
        far = far_numbers(stored, item.test_outputs)
        if far:
            item.raise_cell_error(f"Numbers differ by more than {TOLERANCE:.0%}", "\n".join(far))
    return result


def far_numbers(stored, new):
    """A line for every ≈ number in the new outputs of a cell that is too far from its stored one."""
    stored, new = _about_numbers(stored), _about_numbers(new)
    pairs = [(kind, *pair) for kind in stored for pair in zip(stored[kind], new.get(kind, ()), strict=True)]
    return [
        f"{kind}: stored ≈ {before:g}, now ≈ {now:g}"
        for kind, before, now in pairs
        if not abs(now - before) <= TOLERANCE * abs(before)
    ]


def _about_numbers(outputs):
    """The ≈ numbers of a cell by stream or kind of data, in order."""
    from nbval import plugin

    ((pattern, _),) = plugin.get_sanitize_patterns(SANITIZE.read_text())
    texts = {}
    for output in plugin.coalesce_streams(outputs):
        if output.output_type == "stream":
            texts.setdefault(output.name, []).append(output.text)
        for kind, text in output.get("data", {}).items():
            if isinstance(text, str) and not kind.startswith("image/"):
                texts.setdefault(kind, []).append(text)
    return {kind: [float(each[2:]) for each in re.findall(pattern, "\n".join(parts))] for kind, parts in texts.items()}
