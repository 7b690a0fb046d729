"""Every metric against one contract; one of somebody else's beside ours."""

from __future__ import annotations

import faulthandler
import pkgutil
from pathlib import Path

import pytest
from contracts.metric import check_metric

import rl2qc.metrics
from rl2qc.scoring.spec import METRICS

TESTS = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _no_hang():
    """A hang ends the run with a traceback of where it was."""
    faulthandler.dump_traceback_later(300, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="module")
def images(stained):
    return stained(130, seed=77)


@pytest.mark.parametrize("name", METRICS.names())
def test_every_metric_holds_the_contract(name, tiny_model, images):
    check_metric(METRICS.get(name), tiny_model, images)


def test_every_metric_has_its_oracle():
    """A family is tested under its name: the pure functions, or the spec where there are none."""
    families = {spec.compute.__module__.rpartition(".")[2] for spec in METRICS}
    assert len(families) > 10
    modules = {m.name for m in pkgutil.iter_modules(rl2qc.metrics.__path__) if m.name[0] != "_"}
    for name in families | modules:
        files = [TESTS / place / f"test_{name}.py" for place in ("metrics", "scoring/specs")]
        assert any(file.is_file() for file in files), f"no {files[0].relative_to(TESTS)}"
