from __future__ import annotations

from pathlib import Path

import pytest

from rl2qc.errors import UsageError
from rl2qc.slides.jobs import Job, find_jobs, parse_shard, take_shard
from rl2qc.slides.slide_list import find_mpp, read_mpp_table, read_slide_list


def make(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


@pytest.mark.parametrize("column", ["wsi", "slide", "path", "Slide", " PATH "])
def test_a_list_of_slides(tmp_path: Path, column: str) -> None:
    file = tmp_path / "cohort.csv"
    file.write_text(f"id,{column},mpp,note\n1,a.svs,0.25,x\n2,deep/b.svs,,y\n\n3,gone.svs\n")
    make(tmp_path / "a.svs")
    make(tmp_path / "deep" / "b.svs")
    jobs, _ = find_jobs([file])
    assert [(job.name, job.path, job.mpp) for job in jobs] == [
        ("a", tmp_path / "a.svs", 0.25),
        ("b", tmp_path / "deep" / "b.svs", None),
        ("gone", tmp_path / "gone.svs", None),
    ]


def test_paths_of_a_list_start_at_the_list_or_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lists").mkdir()
    monkeypatch.chdir(tmp_path)
    here = make(tmp_path / "a.svs")
    file = tmp_path / "lists" / "cohort.csv"
    file.write_text("\ufeffslide\na.svs\n", encoding="utf-8")
    assert read_slide_list(file)[0][0].absolute() == here
    beside = make(tmp_path / "lists" / "a.svs")
    assert read_slide_list(file)[0][0] == beside


def test_names_in_a_list_need_not_be_text(tmp_path: Path) -> None:
    file = tmp_path / "cohort.csv"
    file.write_bytes(b"slide\ncaf\xe9.svs\n")
    assert read_slide_list(file) == [(tmp_path / "caf\udce9.svs", None)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column wsi, slide or path"),
        ("name\na.svs\n", "no column wsi, slide or path"),
        ("slide\n", "lists no slides"),
        ("slide,mpp\n,0.5\n", "names no slide in line 2"),
        ("slide,mpp\na.svs,zero\n", "gives 'zero' for mpp in line 2"),
        ("slide,mpp\na.svs,-1\n", "gives '-1' for mpp"),
        ("slide,mpp\na.svs,nan\n", "gives 'nan' for mpp"),
    ],
)
def test_lists_that_are_none(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "cohort.csv").write_text(text)
    with pytest.raises(UsageError, match=said):
        find_jobs([tmp_path / "cohort.csv"])


def test_a_table_of_resolutions(tmp_path: Path) -> None:
    table = tmp_path / "mpp.csv"
    table.write_text("wsi,mpp\na,0.25\nb.svs,0.5\nother,1\n")
    slides = [make(tmp_path / f"{name}.svs") for name in "abc"]
    jobs, (warning,) = find_jobs(slides, mpp_csv=table)
    assert [job.mpp for job in jobs] == [0.25, 0.5, None]
    assert "other, which is no slide of this run" in warning
    # What the list of slides says itself goes before.
    (tmp_path / "cohort.csv").write_text("slide,mpp\na.svs,2\nb.svs,\n")
    jobs, _ = find_jobs([tmp_path / "cohort.csv"], mpp_csv=table)
    assert [job.mpp for job in jobs] == [2.0, 0.5]
    assert find_mpp({str(slides[2]): 3.0}, slides[2]) == 3.0
    table.write_text("wsi,mpp\na,\n")
    with pytest.raises(UsageError, match="no mpp in line 2"):
        read_mpp_table(table)
    table.write_text("wsi,mpp\na,1\na,2\n")
    with pytest.raises(UsageError, match="1 and 2 um/px for a"):
        read_mpp_table(table)
    with pytest.raises(UsageError, match="cannot read"):
        read_mpp_table(tmp_path / "gone.csv")


@pytest.mark.parametrize("parts", [1, 3, 7])
def test_parts_hold_each_job_once(parts: int) -> None:
    jobs = [Job(str(i), "slide", Path(str(i))) for i in range(5)]
    taken = [take_shard(jobs, i, parts) for i in range(parts)]
    assert sorted(job.name for part in taken for job in part) == list("01234")
    assert max(map(len, taken)) - min(map(len, taken)) <= 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "a/b", "-1/3", ""])
def test_parts_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--shard must be i/n"):
        parse_shard(text, {})


def test_parts_of_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    array = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4"}
    assert parse_shard(None, array) == (3, 4)
    assert parse_shard(None, {**array, "SLURM_ARRAY_TASK_MIN": "1"}) == (2, 4)
    assert parse_shard("1/2", array) == (0, 1 + 1)
    # Steps of 5, or a part of an array that was submitted again.
    with pytest.raises(UsageError, match="pass --shard"):
        parse_shard(None, {**array, "SLURM_ARRAY_TASK_ID": "15"})
    with pytest.raises(UsageError, match="pass --shard"):
        parse_shard(None, {"SLURM_ARRAY_TASK_ID": "3"})
