"""Every lesson and every solutions notebook keeps the rules of notebooks/README.md; pytest --nbval runs their cells."""

import lesson_rules
import pytest

PATHS = lesson_rules.paths()


@pytest.mark.parametrize("path", PATHS, ids=[path.relative_to(lesson_rules.NOTEBOOKS).as_posix() for path in PATHS])
def test_a_notebook_keeps_the_rules(path):
    messages = lesson_rules.problems(lesson_rules.read(path))
    assert not messages, "\n" + "\n".join(messages)


def test_there_are_lessons_and_all_are_looked_at():
    everything = {path for path in lesson_rules.NOTEBOOKS.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts}
    assert everything == set(PATHS) != set(), "a notebook has another place or name than NN_name.ipynb"
