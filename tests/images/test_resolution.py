"""Resolutions that agree, that differ, and that nobody recorded."""

from __future__ import annotations

import math

import pytest

from rl2qc.errors import UsageError
from rl2qc.images.resolution import check_scale


@pytest.mark.parametrize("images", [0.5, 0.486, 0.525, 0.477])
def test_what_agrees_is_passed_over(images):
    assert check_scale(0.5, images) is None


@pytest.mark.parametrize("images", [0.53, 0.47, 0.62, 0.41])
def test_what_differs_a_little_is_warned_of(images):
    warning = check_scale(0.5, images, "the patches")
    assert warning is not None
    assert f"the patches are of {images} um/px and the model of 0.5 um/px" in warning


@pytest.mark.parametrize("images", [0.63, 0.39, 1.0, 0.25])
def test_what_differs_is_refused_with_advice(images):
    with pytest.raises(UsageError) as caught:
        check_scale(0.5, images, "the patches", advice="or pass --any-mpp")
    message = str(caught.value)
    assert message.endswith("bring them to 0.5 um/px, or pass --any-mpp")
    assert "\n" not in message
    assert "0.5 um/px" in str(check_scale(0.5, images, any_mpp=True))


def test_it_does_not_matter_which_is_finer():
    for ratio in (1.0, 1.04, 1.2, 1.24):
        assert (check_scale(0.5, 0.5 * ratio) is None) == (check_scale(0.5 * ratio, 0.5) is None)


def test_unknown_resolutions_are_said():
    assert "pass --mpp" in str(check_scale(0.5, None, "generated/"))
    for images in (None, 0.25):
        warning = str(check_scale(None, images))
        assert warning.startswith("the model does not record its resolution")


@pytest.mark.parametrize("mpp", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("model", [None, 0.5])
def test_no_resolution_at_all(mpp, model):
    with pytest.raises(UsageError, match="positive number"):
        check_scale(model, mpp)
