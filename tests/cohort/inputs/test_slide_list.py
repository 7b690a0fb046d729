from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cohort_helpers import run_cohort
from PIL import Image
from slide_helpers import BrightnessModel, tissue_like, write_slide

from rl2qc.cohort.filter import filter_cohort
from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.cohort.inputs.input import Input
from rl2qc.cohort.inputs.lists import read_mpp_table, read_slide_list
from rl2qc.cohort.inputs.shards import parse_shard
from rl2qc.errors import UsageError


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
    jobs, _ = find_inputs([file])
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


def test_a_name_in_a_list_may_hold_the_end_of_a_line(tmp_path: Path) -> None:
    slides = [make(tmp_path / name) for name in ("a\nb.svs", "c\u2028d.svs", "e\x0cf.svs")]
    rows = "\n".join(f'"{slide.name}",0.5' for slide in slides)
    (tmp_path / "cohort.csv").write_text(f"slide,mpp\n{rows}\n", encoding="utf-8")
    assert read_slide_list(tmp_path / "cohort.csv") == [(slide, 0.5) for slide in slides]


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
        # In millimetres.
        ("slide,mpp\na.svs,0.00025\n", "gives '0.00025' for mpp in line 2: microns per pixel"),
    ],
)
def test_lists_that_are_none(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "cohort.csv").write_text(text)
    with pytest.raises(UsageError, match=said):
        find_inputs([tmp_path / "cohort.csv"])


def test_a_long_cell_is_not_said_whole(tmp_path: Path) -> None:
    (tmp_path / "cohort.csv").write_text(f"slide,mpp\na.svs,{'9a' * 3000}\n")
    with pytest.raises(UsageError, match="for mpp in line 2") as found:
        find_inputs([tmp_path / "cohort.csv"])
    assert len(str(found.value)) < 1000


def test_a_table_of_resolutions(tmp_path: Path) -> None:
    table = tmp_path / "mpp.csv"
    table.write_text("wsi,mpp\na,0.25\nb.svs,0.5\nother,1\n")
    slides = [make(tmp_path / f"{name}.svs") for name in "abc"]
    jobs, (warning,) = find_inputs(slides, mpp_csv=table)
    assert [job.mpp for job in jobs] == [0.25, 0.5, None]
    assert "other, which is no slide of this run" in warning
    # What the list of slides says itself goes before.
    (tmp_path / "cohort.csv").write_text("slide,mpp\na.svs,2\nb.svs,\n")
    jobs, _ = find_inputs([tmp_path / "cohort.csv"], mpp_csv=table)
    assert [job.mpp for job in jobs] == [2.0, 0.5]
    table.write_text(f"wsi,mpp\n{slides[2]},3\n")
    assert find_inputs(slides, mpp_csv=table)[0][2].mpp == 3.0
    table.write_text("wsi,mpp\na,0.00025\n")
    with pytest.raises(UsageError, match=r"0\.02 to 50"):
        read_mpp_table(table)
    table.write_text("wsi,mpp\na,\n")
    with pytest.raises(UsageError, match="no mpp in line 2"):
        read_mpp_table(table)
    table.write_text("wsi,mpp\na,1\na,2\n")
    with pytest.raises(UsageError, match="1 and 2 um/px for a"):
        read_mpp_table(table)
    with pytest.raises(UsageError, match="cannot read"):
        read_mpp_table(tmp_path / "gone.csv")


@pytest.mark.parametrize("parts", [1, 3, 7])
def test_parts_hold_each_input_once(tmp_path: Path, parts: int) -> None:
    slides = [make(tmp_path / f"{i}.svs") for i in range(5)]
    taken = []
    for i in range(1, parts + 1):
        options = {"shard": f"{i}/{parts}", "formats": ["csv"], "report": False}
        result = filter_cohort(slides, tmp_path / "out", BrightnessModel(), **options)
        taken.append([row.name for row in result.rows])
    assert sorted(name for names in taken for name in names) == list("01234")
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


def test_the_resolution_by_the_name_of_the_results(tmp_path: Path) -> None:
    slides = [make(tmp_path / place / "a.svs") for place in "xy"]
    (tmp_path / "mpp.csv").write_text("wsi,mpp\nx__a,0.25\ny__a,0.5\n")
    jobs, warnings = find_inputs(slides, mpp_csv=tmp_path / "mpp.csv")
    assert ([job.mpp for job in jobs], warnings) == ([0.25, 0.5], [])


# ---------------------------------------------------------------- slides that must not be lost


@pytest.fixture
def tissue(rng: np.random.Generator) -> np.ndarray:
    return tissue_like(rng, 128, 192)


def kinds(jobs: list[Input]) -> list[tuple[str, str]]:
    return [(job.name, job.kind) for job in jobs]


def damaged(folder: Path, tissue: np.ndarray) -> list[str]:
    """TIFF files that were slides, or never were patches."""
    (folder / "empty.tif").write_bytes(b"")
    (folder / "loop.tif").symlink_to(folder / "loop.tif")
    content = write_slide(folder / "header.tiff", tissue).read_bytes()
    (folder / "header.tiff").write_bytes(b"\0" * 64 + content[64:])
    tifffile.imwrite(folder / "flat.tif", np.zeros((8, 5000, 3), np.uint8), photometric="rgb")
    return ["empty", "flat", "header", "loop"]


def test_damaged_tiff_files_beside_slides_fail(tmp_path: Path, tissue: np.ndarray) -> None:
    names = damaged(tmp_path, tissue)
    write_slide(tmp_path / "good.tif", tissue)
    Image.fromarray(tissue[:64, :64]).save(tmp_path / "patch.tif")
    for inputs in ([tmp_path], [str(tmp_path / "[!p]*.tif*")]):
        jobs, warnings = find_inputs(inputs)
        assert sorted(kinds(jobs)) == [(name, "slide") for name in sorted([*names, "good"])]
    assert warnings == []
    jobs, (warning,) = find_inputs([tmp_path])
    assert "1 images beside the slides" in warning
    rows = {row.name: row for row in run_cohort(jobs, BrightnessModel(), tmp_path / "out")}
    assert {name for name, row in rows.items() if row.status == "failed"} == set(names)
    assert "TIFF without tiles" in rows["flat"].error
    assert "vips tiffsave" in rows["flat"].error


def test_a_flat_tiff_alone_is_no_patch(tmp_path: Path) -> None:
    flat = tmp_path / "flat.tif"
    tifffile.imwrite(flat, np.zeros((5000, 64, 3), np.uint8), photometric="rgb")
    for inputs in ([flat], [tmp_path]):
        assert kinds(find_inputs(inputs)[0]) == [("flat", "slide")]


@pytest.mark.parametrize("side", [64, 2048])
def test_patches_may_be_tiff_files(tmp_path: Path, side: int) -> None:
    """Published patches are flat TIFF files of up to 2048 px."""
    folder = tmp_path / "set"
    folder.mkdir()
    for i in range(3):
        tifffile.imwrite(folder / f"{i}.tif", np.zeros((side, side, 3), np.uint8))
    # Among patches alone, a damaged one is left to them.
    (folder / "empty.tif").write_bytes(b"")
    for inputs in ([folder], [str(folder / "*.tif")]):
        jobs, warnings = find_inputs(inputs)
        assert kinds(jobs) == [("set", "patches")]
        assert warnings == []
    assert len(jobs[0].images) == 4


def test_slides_and_patches_named_together(tmp_path: Path, tissue: np.ndarray) -> None:
    write_slide(tmp_path / "b.tif", tissue)
    make(tmp_path / "a.svs")
    Image.fromarray(tissue[:64, :64]).save(tmp_path / "patch.tif")
    jobs, _ = find_inputs([tmp_path / name for name in ("b.tif", "patch.tif", "a.svs")])
    assert kinds(jobs) == [("b", "slide"), ("a", "slide"), (tmp_path.name, "patches")]


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    cohort, disk = tmp_path / "cohort", tmp_path / "disk"
    own = make(cohort / "own.svs")
    far = make(disk / "deep" / "far.svs")
    (cohort / "linked").symlink_to(disk)
    (cohort / "again").symlink_to(disk / "deep")
    (disk / "back").symlink_to(cohort)
    jobs, warnings = find_inputs([cohort])
    assert [Path(os.path.realpath(job.path)) for job in jobs] == [own, far]
    assert warnings == []


def test_files_go_by_their_own_places(tmp_path: Path) -> None:
    slide = make(tmp_path / "z" / "a.svs")
    (tmp_path / "a").symlink_to(tmp_path / "z")
    assert [job.path for job in find_inputs([tmp_path])[0]] == [slide]


def test_a_link_upwards_is_not_followed(tmp_path: Path) -> None:
    make(tmp_path / "other" / "b.svs")
    make(tmp_path / "cohort" / "a.svs")
    (tmp_path / "cohort" / "up").symlink_to(tmp_path)
    jobs, (warning,) = find_inputs([tmp_path / "cohort"])
    assert [job.name for job in jobs] == ["a"]
    assert "up is left out" in warning


def test_linked_patches_are_measured(tmp_path: Path, tissue: np.ndarray) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "set").mkdir()
    for folder in ("elsewhere", "set"):
        Image.fromarray(tissue[:64, :64]).save(tmp_path / folder / f"{folder}.png")
    (tmp_path / "set" / "more").symlink_to(tmp_path / "elsewhere")
    jobs, _ = find_inputs([tmp_path / "set"])
    assert kinds(jobs) == [("set", "patches")]
    (row,) = run_cohort(jobs, BrightnessModel(), tmp_path / "out")
    assert (row.name, row.status, row.tiles) == ("set", "done", 2)


def test_folders_that_cannot_be_listed_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "open" / "a.svs")
    make(tmp_path / "shut" / "b.svs")
    scandir = os.scandir

    def refuse(path: str | Path) -> object:
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    jobs, (warning,) = find_inputs([tmp_path])
    assert [job.name for job in jobs] == ["a"]
    assert "shut is left out" in warning
    assert "Permission denied" in warning
    with pytest.raises(UsageError, match="Permission denied"):
        find_inputs([tmp_path / "shut"])


@pytest.mark.parametrize("name", ["patches", "model-outputs-csv"])
def test_folders_of_other_tools_are_no_inputs_folder(tmp_path: Path, name: str) -> None:
    make(tmp_path / "in" / name / "0.png")
    assert [job.name for job in find_inputs([tmp_path / "in" / name])[0]] == [f"in__{name}"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (".a.svs", "1 hidden picture is left out, such as"),
        (".cache/deep/a.ndpi", "1 picture in a hidden folder is left out"),
        ("$RECYCLE.BIN/a.mrxs", "1 picture in a folder of deleted or system files"),
        ("a.sdpc", "(.sdpc 1)"),
        ("a.svs.gz", "(.svs.gz 1)"),
    ],
)
def test_slides_that_are_left_out_are_named(
    tmp_path: Path, tissue: np.ndarray, name: str, said: str
) -> None:
    write_slide(tmp_path / "good.tif", tissue)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"x" * 200)
    jobs, (warning,) = find_inputs([tmp_path])
    assert kinds(jobs) == [("good", "slide")]
    assert said in warning
    assert name.split("/")[0] in warning


def test_deleted_slides_that_a_glob_names_are_left_out_with_a_word(
    tmp_path: Path, tissue: np.ndarray
) -> None:
    write_slide(tmp_path / "good.tif", tissue)
    deleted = tmp_path / "$RECYCLE.BIN"
    deleted.mkdir()
    for name in ("a.svs", "notes.txt"):
        (deleted / name).write_bytes(b"x" * 200)
    jobs, (warning,) = find_inputs([str(tmp_path / "**" / "*.*")])
    assert kinds(jobs) == [("good", "slide")]
    assert "1 picture in a folder of deleted or system files" in warning
