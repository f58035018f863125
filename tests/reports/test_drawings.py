"""The pictures of a page: laid out once, and drawn by several processes as by one."""

import io
import os
import sys
from concurrent.futures import wait

import cloudpickle
import pytest
from PIL import Image
from scorebench.reports.figures.named import figures
from scorebench.reports.figures.style import DARK, LIGHT, encode
from scorebench.reports.pages import drawings
from scorebench.reports.pages.drawings import Drawing, by_theme, drawn_together, embedded
from scorebench.reports.pages.page import page
from scorebench.reports.source import load
from scorebench.studies.execution.pools import Processes, StartError

from .conftest import study

# Worker processes do not see the test folder on their path.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

HERE = os.getpid()


def draw():
    return {"drawn by": os.getpid()}


def draw_here_only():
    if os.getpid() != HERE:
        raise ValueError("cannot be drawn in another process")
    return draw()


def refuse(_workers):
    raise StartError("no process can be started")


class Waiting(Processes):
    """Workers that have drawn before the block begins."""

    def submit(self, task, seconds=None):
        future = super().submit(task, seconds)
        wait([future])
        return future


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(drawings, "cores", lambda: 2)


@pytest.fixture
def asked():
    return [Drawing(draw, {}) for _ in range(drawings.MANY)]


def finished(asked):
    with drawn_together(asked):
        pass
    return {drawing.into["drawn by"] for drawing in asked}


def test_two_processes_share_the_drawings(asked):
    with drawn_together(asked):
        assert asked[0].elsewhere.result(timeout=60) != {"drawn by": HERE}
        asked[-1].elsewhere.cancel()
    assert asked[0].into["drawn by"] != HERE
    assert asked[-1].into["drawn by"] == HERE
    assert all(drawing.into for drawing in asked)


def test_what_another_process_cannot_draw_is_drawn_here(monkeypatch):
    monkeypatch.setattr(drawings, "Processes", Waiting)
    assert finished([Drawing(draw_here_only, {}) for _ in range(drawings.MANY)]) == {HERE}


def test_no_process_is_started_for_few_drawings_or_on_one_core(asked, monkeypatch):
    monkeypatch.setattr(drawings, "Processes", None)
    assert finished(asked[1:]) == {HERE}
    monkeypatch.setattr(drawings, "cores", lambda: 1)
    assert finished(asked) == {HERE}


def test_a_machine_that_cannot_start_processes_draws_all_here(asked, monkeypatch):
    monkeypatch.setattr(drawings, "Processes", refuse)
    assert finished(asked) == {HERE}


def test_the_page_is_the_same_however_many_processes_draw(make_directory, monkeypatch):
    source = load(make_directory(study(methods={"dsm": 0.3, "ssm": 0.5}, datasets=("rings",))))
    alone = page(source)
    monkeypatch.setattr(drawings, "MANY", 1)
    monkeypatch.setattr(drawings, "Processes", Waiting)
    assert page(source) == alone


def test_one_layout_serves_both_themes(directory):
    makers = {make.func: make for make in figures(load(directory)).values()}
    assert len(makers) > 5
    for make in makers.values():
        pictures = by_theme(make, 60)
        for name, theme in {"light": LIGHT, "dark": DARK}.items():
            saved = Image.open(io.BytesIO(encode(make(theme=theme), "png", 60))).convert("RGB")
            buffer = io.BytesIO()
            saved.quantize(128, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
            assert pictures[name] == embedded(buffer.getvalue(), "png"), (make, name)
