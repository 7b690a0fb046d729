from __future__ import annotations

import os
from pathlib import Path

import pytest

from rl2qc.slides.companions import dicom_series, slide_files
from rl2qc.slides.jobs import Job
from rl2qc.slides.records import identify


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
    job = Job("a", "slide", request.getfixturevalue(slide))
    before = identify(job)
    assert identify(job) == before
    path = tmp_path / companion
    times = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    # Even where the time does not tell.
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert identify(job)["sha256"] != before["sha256"]


def test_what_lies_beside_a_slide_is_no_part_of_it(series: Path, tmp_path: Path) -> None:
    job = Job("a", "slide", series)
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
