"""Slide or patient of an image, told by its name."""

from __future__ import annotations

import pytest

from rl2qc.errors import UsageError
from rl2qc.images.groups import slide_ids


class TestSlideIds:
    def test_what_is_wrong_with_a_pattern_is_told(self):
        with pytest.raises(UsageError, match=r"--group-pattern '\(' is no regular expression"):
            slide_ids(["a.png"], "(")
        with pytest.raises(UsageError, match=r"matches no part of 1 of 2 .*such as b\.png"):
            slide_ids(["a_1.png", "b.png"], "^(.)_")

    def test_a_group_that_takes_no_part_is_a_miss(self):
        """An optional group gives None in Python, which nothing downstream can sort."""
        names = ["consep_1_a.png", "crag_1_b.png", "consep_2_c.png"]
        with pytest.raises(UsageError, match=r"1 of 3 .*such as consep_2_c\.png"):
            slide_ids(names, "(consep_1|crag_1)|^c")

    def test_folders_of_patients(self, tmp_path):
        names = [str(tmp_path / f) for f in ("ann/x.png", "ann/y.png", "bob/deep/x.png")]
        assert slide_ids(names, "^([^/]+)/") == ["ann", "ann", "bob"]

    def test_relative_and_absolute_names_are_seen_alike(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        relative = ["real/ann/x.png", "real/bob/x.png"]
        absolute = [str(tmp_path / name) for name in relative]
        for names in (relative, absolute):
            assert slide_ids(names, "^(.+)/") == ["ann", "bob"]

    def test_a_pattern_of_file_names_ignores_folders(self):
        """Anchored at the start, or met by a folder's name as well: the file's name decides."""
        names = ["real/a/s1_10.png", "real/s9_b/s2_11.png"]
        for pattern in ("^(s[0-9])_", "(s[0-9])_", "s[0-9]"):
            assert slide_ids(names, pattern) == ["s1", "s2"]

    def test_a_miss_shows_what_was_looked_at(self):
        with pytest.raises(UsageError, match=r"--by 'q' .*2 of 2 .*such as ann/x\.png"):
            slide_ids(["real/ann/x.png", "real/bob/x.png"], "q", option="--by")
