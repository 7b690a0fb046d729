"""Settings objects: checks, changes, records of other days."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from rl2qc.core.settings import Interval, Settings, option, share_out
from rl2qc.errors import UsageError


@dataclass(frozen=True)
class Cut(Settings):
    share: float = option(0.5, help="Share.", within=Interval(0, 1, "left"), phase="decision")
    stride: int | None = option(None, help="Stride.", within=Interval(1), old=("step",))
    threads: int = option(2, help="Threads.", within=Interval(1), phase="speed")
    pad: str = option("reflect", help="Edges.", choices=("none", "reflect"), before="none")
    whole: bool = option(False, help="Whole.")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("share", 1),
        ("share", -0.1),
        ("share", float("nan")),
        ("share", True),
        ("share", "0.5"),
        ("share", None),
        ("stride", 0),
        ("stride", 2.5),
        ("stride", float("inf")),
        ("threads", None),
        ("pad", "mirror"),
        ("whole", 1),
    ],
)
def test_what_an_option_cannot_be_is_refused_by_name(name, value):
    with pytest.raises(UsageError, match=f"^{name} must"):
        Cut(**{name: value})


def test_numbers_of_numpy_are_numbers():
    assert Cut(stride=np.int64(3), share=np.float32(0.25)).stride == 3


def test_single_options_an_object_or_both():
    assert Cut.resolve(None, {}) == Cut()
    assert Cut.resolve(Cut(stride=2), {"share": 0.1}) == Cut(stride=2, share=0.1)
    with pytest.raises(UsageError, match="perhaps 'share'"):
        Cut.resolve(None, {"shere": 0.1})
    with pytest.raises(UsageError, match="Cut"):
        Cut.resolve({"share": 0.1}, {})  # type: ignore[arg-type]


def test_old_words_are_understood():
    with pytest.warns(DeprecationWarning, match="stride"):
        assert Cut().changes(step=4).stride == 4


def test_a_record_holds_what_results_depend_on():
    assert Cut().record() == {"share": 0.5, "stride": None, "pad": "reflect", "whole": False}
    assert Cut.names("speed") == ("threads",)


def test_a_record_of_before_has_the_values_of_its_day():
    assert Cut.complete({"share": 0.1, "step": 3, "other": 1}) == {
        "share": 0.1,
        "stride": 3,
        "pad": "none",
        "whole": False,
        "other": 1,
    }


@dataclass(frozen=True)
class Work(Settings):
    folder: str = option("here", help="Folder.", old=("directory",))


def test_two_objects_share_the_words_of_one_call():
    assert share_out({}, Cut(stride=2), Work()) == (Cut(stride=2), Work())
    assert share_out({"share": 0.1, "folder": "x"}, Cut(), Work()) == (Cut(share=0.1), Work("x"))
    with pytest.raises(UsageError, match=r"'foldr', perhaps 'folder'\? Choose from share"):
        share_out({"foldr": "x"}, Cut(), Work())
    with pytest.warns(DeprecationWarning, match="directory is called folder now"):
        assert share_out({"directory": "x"}, Cut(), Work())[1] == Work("x")
    with pytest.raises(UsageError, match="share must lie in"):
        share_out({"share": 2}, Cut(), Work())
