"""Every extractor against one contract; one of somebody else's beside ours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from contracts.extractor import check_extractor

from rl2qc.core.registry import Extra
from rl2qc.errors import UsageError
from rl2qc.features.base import (
    EXTRACTORS,
    ExtractorSpec,
    register_extractor,
)
from rl2qc.features.find import find_extractors, get_extractor


@pytest.fixture
def features_of(tiny_model_file, inception, tmp_path, monkeypatch):
    """What the user gives for an extractor, by its name in the registry; networks untrained."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        resnet = torchvision.models.resnet18(weights=None)
    torch.save(resnet.state_dict(), folder / "resnet18-f37072fd.pth")
    url = torchvision.models.Inception_V3_Weights.IMAGENET1K_V1.url
    torch.save(inception.state_dict(), folder / url.rsplit("/", 1)[-1])
    given = {spec.name: spec.name for spec in EXTRACTORS if spec.make is not None}
    rows = np.random.default_rng(0).normal(size=(6, 5))
    np.save(tmp_path / "images.npy", rows)
    return given | {"a weights file": tiny_model_file, "a folder of features": tmp_path}


@pytest.mark.parametrize("name", EXTRACTORS.names())
def test_every_extractor_holds_the_contract(name, features_of, tiny_model, source):
    check_extractor(
        lambda: get_extractor(features_of[name], tiny_model),
        source.take(range(6)),
        any_images=EXTRACTORS.get(name).accepts is None or name == "a weights file",
    )


class Colours:
    """Somebody else's: four members, classes as well, no base class of ours."""

    name, dim, identity = "colours", 3, "colours v1"

    def extract(self, source, *, progress=False):
        return np.stack([source[i].mean((0, 1)) for i in range(len(source))]).astype(np.float32)

    def probabilities(self, features):
        return features / features.sum(1, keepdims=True, dtype=np.float64)


@pytest.fixture
def colours():
    register_extractor(ExtractorSpec("colours", lambda model: Colours(), "mean colours"))
    yield
    EXTRACTORS.unregister("colours")


def test_one_from_outside_is_found_by_name_and_holds_the_contract(colours, tiny_model, source):
    assert "colours" in EXTRACTORS.names()
    check_extractor(lambda: get_extractor("colours", tiny_model), source.take(range(6)))
    found = find_extractors("colours", tiny_model, ("real", "generated"))
    assert found["real"] is found["generated"]
    assert found["real"].probabilities(np.ones((2, 3))).tolist() == [[1 / 3] * 3] * 2


def test_a_kind_of_path_from_outside(tiny_model, source, tmp_path):
    """What opens ``.colours`` files comes before the weights file that any file may be."""
    spec = ExtractorSpec(
        "a .colours file",
        accepts=lambda path: path.suffix == ".colours",
        open=lambda path, model, titles: dict.fromkeys(titles, Colours()),
    )
    register_extractor(spec)
    try:
        (tmp_path / "x.colours").touch()
        assert get_extractor(tmp_path / "x.colours", tiny_model).name == "colours"
    finally:
        EXTRACTORS.unregister(spec.name)


def test_a_missing_extra_is_named(tiny_model):
    extra = Extra("no_such_module", "rl2qc[uni]")
    register_extractor(ExtractorSpec("uni", lambda model: Colours(), extra=extra))
    try:
        with pytest.raises(UsageError, match=r"extractor uni needs no_such.*'rl2qc\[uni\]'"):
            get_extractor("uni", tiny_model)
    finally:
        EXTRACTORS.unregister("uni")


def test_the_old_name_is_understood_and_not_shown(tiny_model):
    assert get_extractor("rl2", tiny_model).name == "model"
    assert "rl2" not in EXTRACTORS.names()


def test_the_nearest_name_is_told(tiny_model):
    with pytest.raises(UsageError, match=r"no features 'latent', perhaps 'latents'\? Give model,"):
        get_extractor("latent", tiny_model)


def test_a_folder_of_a_known_name_is_not_taken_for_it(tiny_model, tmp_path, monkeypatch):
    (tmp_path / "latents").mkdir()
    monkeypatch.chdir(tmp_path)
    assert get_extractor("latents", tiny_model).name == "latents"


@pytest.mark.parametrize("members", [{}, {"make": len, "open": len, "accepts": len}, {"open": len}])
def test_half_a_spec_is_refused(members):
    with pytest.raises(UsageError, match="needs make, or accepts and open"):
        ExtractorSpec("half", **members)
