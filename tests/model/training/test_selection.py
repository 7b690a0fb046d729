"""What a model is fitted to: cut, left out, drawn, grouped, and what is said of it."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from rl2qc.errors import UsageError
from rl2qc.images.sources.base import as_source
from rl2qc.images.sources.files import read_image
from rl2qc.model.quality import QualityModel
from rl2qc.model.training import selection
from rl2qc.model.training.split import split_rows


@pytest.fixture
def decoded(monkeypatch):
    """Names of the files that were decoded, one entry a time."""
    from rl2qc.images.sources import files

    names = []

    def read(path):
        names.append(str(path))
        return read_image(path)

    monkeypatch.setattr(files, "read_image", read)
    return names


@pytest.fixture
def spoilt(patch_folder, tmp_path):
    """The clean patches, and three that are noise."""
    folder = tmp_path / "spoilt"
    shutil.copytree(patch_folder, folder)
    rng = np.random.default_rng(1)
    for name in ("s2_noise", "s5_noise", "s9_noise"):
        noise = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{name}.png")
    return folder


class TestDecoding:
    def test_each_file_is_decoded_once(self, patch_folder, decoded):
        """By a whole fit: it was five times."""
        QualityModel.fit(str(patch_folder), backbone="random", epochs=1, layers=1)
        assert sorted(decoded) == sorted(map(str, patch_folder.glob("*.png")))

    def test_joint_mode_decodes_no_more(self, patch_folder, decoded):
        QualityModel.fit(str(patch_folder), backbone="random", mode="joint", epochs=1, layers=1)
        assert len(decoded) == len(set(decoded)) == 120

    def test_tiles_are_looked_at_and_measured_in_one(self, large_folder, decoded, fitted_to):
        fitted_to(large_folder, tile=True, patch_size=64)
        assert len(decoded) == len(set(decoded)) == 23

    def test_more_tiles_than_memory_are_read_again(
        self, large_folder, decoded, fitted_to, monkeypatch
    ):
        whole = fitted_to(large_folder, tile=True, patch_size=64)
        decoded.clear()
        monkeypatch.setattr(selection, "_HELD_BYTES", 50 * 64 * 64 * 3)
        again = fitted_to(large_folder, tile=True, patch_size=64)
        assert len(decoded) > 23
        assert again.source.names == whole.source.names
        assert np.array_equal(again.source[60], whole.source[60])


class TestExclusion:
    def test_by_any_of_their_names(self, spoilt, tmp_path, fitted_to, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "a.txt").write_text("spoilt/s2_noise.png\nspoilt/gone.png\n")
        (tmp_path / "b.csv").write_text(f"file\n{spoilt / 's5_noise.png'}\n")
        found = fitted_to("spoilt/*.png", exclude=["a.txt", "b.csv"])
        assert found.parts.warnings == (
            "1 of 3 paths of --exclude are no reference patches, such as spoilt/gone.png",
        )
        assert [n for n in found.source.names if "noise" in n] == ["spoilt/s9_noise.png"]
        assert len(found.source) == 121
        assert found.parts.provenance["n_excluded"] == 2

    def test_held_out_patches_are_left_out_as_well(self, spoilt, patch_folder, tmp_path, fitted_to):
        listed = tmp_path / "list.txt"
        listed.write_text(f"{spoilt}/s2_noise.png\n{patch_folder}/s0_0.png")
        found = fitted_to(patch_folder, held_out=spoilt, exclude=listed)
        made = found.parts.provenance
        assert (made["n_train"], made["n_held_out"], made["n_excluded"]) == (119, 122, 2)

    def test_given_groups_follow_the_patches(self, spoilt, tmp_path, fitted_to):
        source = as_source(spoilt)
        groups = [f"slide {i % 11}" for i in range(len(source))]
        (tmp_path / "list.txt").write_text("\n".join(source.names[:5]))
        found = fitted_to(source, groups=groups, exclude=tmp_path / "list.txt", max_patches=110)
        expected = [groups[source.names.index(name)] for name in found.source.names]
        assert found.groups == expected and len(expected) == 110

    def test_another_number_of_groups_is_refused(self, patch_folder, fitted_to):
        with pytest.raises(UsageError, match="3 groups for 120 patches"):
            fitted_to(patch_folder, groups=["a", "b", "c"])


class TestNearDuplicates:
    def test_they_are_counted_and_not_split(self, patch_folder, tmp_path, fitted_to):
        folder = tmp_path / "copies"
        shutil.copytree(patch_folder, folder)
        for i in range(8):
            with Image.open(folder / f"s{i}_0.png") as image:
                image.save(folder / f"copy{i}.jpg", quality=60)
        os.link(folder / "s9_3.png", folder / "same.png")
        found = fitted_to(folder)
        (warning,) = found.parts.warnings
        assert warning.startswith("18 of 129 reference patches are near-duplicates of another (9 g")
        assert "copy0.jpg and s0_0.png" in warning
        names = found.source.names
        for seed in range(5):
            _, held = split_rows(129, 0.2, found.groups, seed)
            stems = [names[i].rpartition("/")[2] for i in held]
            for i in range(8):
                assert (f"copy{i}.jpg" in stems) == (f"s{i}_0.png" in stems)
            assert ("same.png" in stems) == ("s9_3.png" in stems)

        # With slides: the copies join theirs, and slides stay whole.
        found = fitted_to(folder, group_pattern=r"^(s\d|copy\d|same)")
        assert len(set(found.groups)) == 10
        assert found.parts.provenance["n_slides"] == 19

    def test_none_no_groups(self, patch_folder, fitted_to):
        found = fitted_to(patch_folder)
        assert found.parts.warnings == ()
        assert found.groups is None

    def test_across_a_hold_out_that_was_given(self, patch_folder, tmp_path, fitted_to):
        apart = tmp_path / "apart"
        apart.mkdir()
        for i in range(20):
            shutil.copy(patch_folder / f"s1_{i % 12}.png", apart / f"{i}.png")
        found = fitted_to(patch_folder, held_out=apart)
        (warning,) = found.parts.warnings
        assert "32 of 140 reference patches are near-duplicates" in warning
        assert "20 of the held-out patches have one that trains" in warning
        assert found.groups is None

    def test_hundreds_of_one_patch(self, patch_folder, tmp_path, fitted_to):
        folder = tmp_path / "copies"
        folder.mkdir()
        for i in range(150):
            name = f"s0_{i}.png" if i < 12 else "s1_0.png"
            shutil.copy(patch_folder / name, folder / f"{i}.png")
        found = fitted_to(folder)
        (warning,) = found.parts.warnings
        assert "138 of 150 reference patches are near-duplicates of another (1 group)" in warning
        assert "too many to be kept on one side" in warning
        assert found.groups is None


@pytest.fixture(scope="module")
def scaled(tiny_model, tmp_path_factory):
    """Saves the tiny model at a resolution, as a backbone."""

    def save(mpp):
        path = tmp_path_factory.mktemp("scaled") / "other.safetensors"
        before, name, sha = tiny_model.mpp, tiny_model.name, tiny_model.sha256
        tiny_model.mpp = mpp
        tiny_model.save(path)
        tiny_model.mpp, tiny_model.name, tiny_model.sha256 = before, name, sha
        return path

    return save


@pytest.mark.parametrize(
    ("known", "options", "said"),
    [
        (0.5, {"mpp": 0.25, "any_mpp": True}, "scores may be lower"),
        (0.5, {"mpp": 0.55}, "0.55 um/px and the backbone of 0.5 um/px"),
        (0.5, {"mpp": 0.499}, None),
        (0.5, {"mpp": None}, "without --mpp the model does not know its resolution"),
        (None, {"mpp": 0.25}, None),
    ],
)
def test_the_scale_of_the_backbone(patch_folder, scaled, fitted_to, known, options, said):
    found = fitted_to(patch_folder, backbone=scaled(known), **options)
    assert [said in line for line in found.parts.warnings] == ([True] if said else [])


def test_another_scale_than_the_backbones_is_refused(patch_folder, scaled, fitted_to):
    with pytest.raises(UsageError, match=r"bring them to 0\.5 um/px, choose another --backbone"):
        fitted_to(patch_folder, backbone=scaled(0.5), mpp=0.25)


@pytest.fixture
def large_folder(stained, tmp_path):
    """Images with room for six patches, the last one of them glass; and one that is glass."""
    folder = tmp_path / "large"
    folder.mkdir()
    for i, image in enumerate(stained(22, size=200, seed=5)):
        image = image[:140].copy()
        image[76:, 132:] = 245
        Image.fromarray(image).save(folder / f"s{i}.png")
    Image.new("RGB", (200, 140), (245, 245, 245)).save(folder / "glass.png")
    return folder


class TestTiles:
    def test_of_large_images(self, large_folder, tmp_path, fitted_to):
        with pytest.raises(UsageError, match="23 reference patches are too few"):
            fitted_to(large_folder, patch_size=64)
        found = fitted_to(large_folder, patch_size=64, tile=True)
        assert found.parts.warnings == ()
        names = found.source.names
        assert len(names) == 22 * 5
        assert not any("glass" in name or name.endswith("@132,70") for name in names)
        train, held = split_rows(110, 0.2, found.groups, 0)
        assert not {names[i].split("@")[0] for i in train} & {names[i].split("@")[0] for i in held}
        by_slide = fitted_to(large_folder, patch_size=64, tile=True, group_pattern=r"^s(\d)")
        assert len(set(by_slide.groups)) == 10

        (tmp_path / "list.txt").write_text(f"{names[1]}\n{large_folder / 's3.png'}\n")
        listed = tmp_path / "list.txt"
        rest = fitted_to(large_folder, patch_size=64, tile=True, exclude=listed, holdout=0.19)
        assert len(rest.source) == 110 - 1 - 5

    def test_images_with_room_for_more_are_told(self, stained, fitted_to):
        found = fitted_to(stained(120, size=130, seed=5), patch_size=64)
        (warning,) = found.parts.warnings
        assert warning.startswith("120 of 120 images have room for more than one patch of 64 px")
        assert "76% of all pixels" in warning
        assert "--tile" in warning

    def test_beside_a_hold_out_each_image_is_a_group_in_both(self, stained, fitted_to):
        found = fitted_to(
            stained(22, size=130, seed=5), held_out=stained(8, size=130, seed=6), patch_size=64,
            tile=True,
        )  # fmt: skip
        assert len(found.groups) == len(found.source) == 30 * 4
        assert found.parts.provenance["n_held_out"] == 32

    def test_given_groups_are_those_of_their_image(self, stained, fitted_to):
        groups = [f"p{i // 2}" for i in range(30)]
        found = fitted_to(stained(30, size=130, seed=5), groups=groups, patch_size=64, tile=True)
        assert found.groups == [group for group in groups for _ in range(4)]
