"""Settings of a benchmark as people write them."""

from __future__ import annotations

from rl2qc.benchmarking.settings import BenchmarkSettings


def test_names_in_one_string_are_several() -> None:
    assert BenchmarkSettings(corruptions="blur, noise").corruptions == ("blur", "noise")
    assert BenchmarkSettings(corruptions=("blur",)).corruptions == ("blur",)
    assert BenchmarkSettings().corruptions is None
