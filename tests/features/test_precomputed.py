"""Features from elsewhere: rows of the files, one digest, clear refusals."""

from __future__ import annotations

import numpy as np
import pytest

from rl2qc.errors import UsageError
from rl2qc.features.precomputed import load_precomputed


class TestPrecomputed:
    def test_rows_are_those_of_the_files(self, source, tmp_path):
        x, y = np.arange(36.0).reshape(12, 3), np.ones((5, 3), np.float16)
        np.save(tmp_path / "real.npy", x)
        np.save(tmp_path / "generated.npy", y)
        found = load_precomputed(tmp_path, ["real", "generated"])
        assert np.array_equal(found["real"].extract(source), x)
        assert np.array_equal(found["generated"].extract(source.take(range(5))), y)
        assert found["real"].extract(source).dtype == np.float32
        assert found["real"].dim == 3
        assert found["real"].name == tmp_path.name

    def test_identity_is_of_every_set(self, tmp_path):
        identities = set()
        for value in (0.0, 1.0):
            np.save(tmp_path / "real.npy", np.zeros((4, 2)))
            np.save(tmp_path / "generated.npy", np.full((4, 2), value))
            found = load_precomputed(tmp_path, ["real", "generated"])
            assert found["real"].identity == found["generated"].identity
            identities.add(found["real"].identity)
        assert len(identities) == 2

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (np.zeros(4), r"real\.npy .*\(images, dimensions\), got \(4,\)"),
            (np.full((4, 2), np.inf), r"real\.npy .*NaN or infinity"),
            (np.full((4, 2), 1e300), r"real\.npy .*NaN or infinity"),
            (np.array([["a", "b"]]), r"real\.npy .*numbers"),
            (np.array([[None]]), r"real\.npy is no \.npy array"),
            (np.zeros((4, 3)), "generated has 2 dimensions, real 3"),
            (None, r"no such file: .*real\.npy"),
        ],
    )
    def test_bad_files(self, tmp_path, array, message):
        np.save(tmp_path / "generated.npy", np.zeros((4, 2)))
        if array is not None:
            np.save(tmp_path / "real.npy", array)
        with pytest.raises(UsageError, match=message):
            load_precomputed(tmp_path, ["real", "generated"])

    def test_another_number_of_images(self, source, tmp_path):
        np.save(tmp_path / "real.npy", np.zeros((4, 2)))
        with pytest.raises(UsageError, match=r"real\.npy holds 4 rows for 12 images"):
            load_precomputed(tmp_path, ["real"])["real"].extract(source)
