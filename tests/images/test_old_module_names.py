"""Modules that have moved."""

from __future__ import annotations

import pytest

from rl2qc.synthetic.slide import synthetic_slide


def test_the_old_name_is_understood_with_a_word() -> None:
    from rl2qc.images import synthetic_slide as old

    with pytest.warns(DeprecationWarning, match=r"called rl2qc\.synthetic\.slide now"):
        assert old.synthetic_slide is synthetic_slide
    with pytest.warns(DeprecationWarning), pytest.raises(AttributeError, match="nothing"):
        _ = old.nothing
