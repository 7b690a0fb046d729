from __future__ import annotations

import os
from pathlib import Path

import pytest
from cohort_helpers import run_cohort
from slide_helpers import BrightnessModel

from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.cohort.inputs.input import Input
from rl2qc.cohort.job import identify
from rl2qc.slides.files import dicom_series, slide_files, slide_name


def dicom(path: Path, series: str, pixels: bytes = b"\0" * 100) -> Path:
    """As much of a DICOM file as tells its series."""
    uid = series.encode()
    header = b"\0" * 128 + b"DICM" + b"\x20\x00\x0e\x00UI" + len(uid).to_bytes(2, "little") + uid
    path.write_bytes(header + pixels)
    return path


@pytest.fixture
def mrxs(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    for name in ("Slidedat.ini", "Data0000.dat"):
        (tmp_path / "a" / name).write_bytes(name.encode() * 50)
    (tmp_path / "a.mrxs").write_bytes(b"index")
    (tmp_path / "b.mrxs").write_bytes(b"another slide")
    return tmp_path / "a.mrxs"


@pytest.fixture
def vms(tmp_path: Path) -> Path:
    for name in ("a.jpg", "a_map.jpg", "a.opt", "b.jpg"):
        (tmp_path / name).write_bytes(name.encode() * 50)
    (tmp_path / "a.vms").write_text(
        "[Virtual Microscope Specimen]\r\nNoLayers=1\r\nImageFile=a.jpg\r\nImageFile(1,0)=gone.jpg"
        "\r\nMapFile=a_map.jpg\r\nOptimisationFile=a.opt\r\nNote=../a.jpg\r\n"
    )
    return tmp_path / "a.vms"


@pytest.fixture
def series(tmp_path: Path) -> Path:
    for i in range(3):
        dicom(tmp_path / f"{i}.dcm", "1.2.3")
    dicom(tmp_path / "other.dcm", "1.2.4")
    (tmp_path / "notes.txt").write_text("of a reader")
    return tmp_path / "0.dcm"


def names(path: Path) -> list[str]:
    return [file.name for file in slide_files(path)]


def test_the_files_of_a_slide(mrxs: Path, vms: Path, series: Path, tmp_path: Path) -> None:
    assert names(mrxs) == ["a.mrxs", "Data0000.dat", "Slidedat.ini"]
    assert names(tmp_path / "b.mrxs") == ["b.mrxs"]
    assert names(vms) == ["a.vms", "a.jpg", "a.opt", "a_map.jpg"]
    assert names(series) == ["0.dcm", "1.dcm", "2.dcm"]
    assert names(tmp_path / "other.dcm") == ["other.dcm"]
    assert names(tmp_path / "a") == ["Data0000.dat", "Slidedat.ini"]
    assert names(tmp_path / "gone.svs") == ["gone.svs"]
    assert names(tmp_path / "gone.vms") == ["gone.vms"]


@pytest.mark.parametrize(
    ("slide", "companion"),
    [("mrxs", "a/Data0000.dat"), ("vms", "a.opt"), ("series", "2.dcm")],
)
def test_a_changed_companion_is_another_slide(
    slide: str, companion: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    job = Input("a", "slide", request.getfixturevalue(slide))
    before = identify(job)
    assert identify(job) == before
    path = tmp_path / companion
    times = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    # Even where the time does not tell.
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert identify(job)["sha256"] != before["sha256"]


def test_what_lies_beside_a_slide_is_no_part_of_it(series: Path, tmp_path: Path) -> None:
    job = Input("a", "slide", series)
    before = identify(job)
    (tmp_path / "notes.txt").write_text("changed")
    dicom(tmp_path / "other.dcm", "1.2.4", b"changed")
    (tmp_path / ".DS_Store").write_bytes(b"")
    assert identify(job) == before
    dicom(tmp_path / "3.dcm", "1.2.3")
    assert identify(job) != before


def test_a_file_that_is_no_dicom(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"nothing")
    assert dicom_series(tmp_path / "a.dcm") == b""
    assert dicom_series(tmp_path / "none.dcm") == b""


# ---------------------------------------------------------------- DICOM


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """A series with a folder to itself."""
    folder = tmp_path / "1.2.840.113"
    folder.mkdir()
    for i in range(2):
        dicom(folder / f"level-{i}.dcm", "1.2.3")
    return folder


def test_a_dicom_folder_may_be_listed(tmp_path: Path, alone: Path) -> None:
    (tmp_path / "cohort.csv").write_text(f"slide,mpp\n{alone.name},0.5\n")
    jobs, _ = find_inputs([tmp_path / "cohort.csv", alone])
    assert [(job.name, job.mpp) for job in jobs] == [(alone.name, 0.5)]
    # Whichever of its files is.
    (tmp_path / "cohort.csv").write_text(f"slide,mpp\n{alone.name}/level-1.dcm,0.25\n")
    jobs, _ = find_inputs([alone, tmp_path / "cohort.csv"])
    assert [(job.name, job.mpp) for job in jobs] == [(alone.name, 0.25)]
    # What is listed and holds no slide fails, since it was listed.
    (tmp_path / "none.v2").mkdir()
    (tmp_path / "cohort.csv").write_text("slide\nnone.v2\n")
    jobs, _ = find_inputs([tmp_path / "cohort.csv"])
    assert [(job.name, job.kind) for job in jobs] == [("none.v2", "slide")]
    (row,) = run_cohort(jobs, BrightnessModel(), tmp_path / "out")
    assert "a folder without a DICOM slide" in row.error


@pytest.mark.parametrize("name", ["1.2.840.113", "level-0", "level-0.dcm", "{}", "{}/level-0.dcm"])
def test_the_resolution_of_a_dicom_slide(tmp_path: Path, alone: Path, name: str) -> None:
    table = tmp_path / "mpp.csv"
    table.write_text(f"wsi,mpp\n{name.format(alone)},0.5\n")
    (job,), warnings = find_inputs([alone], mpp_csv=table)
    assert (job.mpp, warnings) == (0.5, [])


def test_damaged_dicom_files_are_slides_of_their_own(tmp_path: Path, alone: Path) -> None:
    for name in ("x.dcm", "y.dcm"):
        (alone / name).write_bytes(b"")
    assert sorted(job.name for job in find_inputs([alone])[0]) == [alone.name, "x", "y"]


def test_dicom_files_of_any_name(shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "case"
    folder.mkdir()
    for i, file in enumerate(sorted((shared_data / "slides" / "CMU-1-dicom").iterdir())):
        (folder / f"1.2.826.{i}").write_bytes(file.read_bytes())
    dicom(folder / "DICOMDIR", "9.9")
    (folder / "notes").write_text("of a reader")
    jobs, _ = find_inputs([folder])
    assert [job.kind for job in jobs] == ["slide"]
    # Another series lies beside it: the whole name stands for the file.
    assert jobs[0].name == "1.2.826.0"
    (folder / "DICOMDIR").unlink()
    for inputs in (sorted(folder.glob("1*")), [folder]):
        jobs, _ = find_inputs(inputs)
        assert [(job.name, job.kind) for job in jobs] == [("case", "slide")]
    (row,) = run_cohort(jobs, BrightnessModel(256), tmp_path / "out", formats=["csv"])
    assert row.status == "done", row.error


def test_what_a_slide_goes_by(alone: Path, tmp_path: Path) -> None:
    assert slide_name(alone / "level-1.dcm") == slide_name(alone) == "1.2.840.113"
    other = dicom(alone / "1.2.9", "1.2.9")
    assert slide_name(alone / "level-1.dcm") == "level-1"
    # Not all that follows a point is a suffix.
    assert slide_name(other) == "1.2.9"
    assert slide_name(tmp_path / "a.ome.tiff") == "a.ome"
    assert slide_name(tmp_path / "gone" / "a.svs") == "a"
