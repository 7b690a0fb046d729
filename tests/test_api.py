"""The public names."""

from __future__ import annotations

import pytest

import rl2qc


@pytest.mark.parametrize("name", rl2qc.__all__)
def test_public_names_exist(name):
    assert callable(getattr(rl2qc, name))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        rl2qc.nothing  # noqa: B018
