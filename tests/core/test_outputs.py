"""What stands in a file's place is kept, written through, or written to."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from rl2qc.core.files import atomic_path, write_csv, write_json
from rl2qc.core.outputs import check_folder, check_targets, refuse_to_replace
from rl2qc.errors import UsageError


def write(path: Path | str, text: str = "new") -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text)


def test_dash_is_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_json(Path("-"), {"a": 1})
    write_csv(Path("/dev/stdout"), ["é"], [[1]])
    assert capfdbinary.readouterr().out == b'{\n  "a": 1\n}\n' + "é\n1\n".encode()
    assert not list(tmp_path.iterdir())


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(Path("real") / "file.txt")
    for text in ("new", "newer"):
        write(tmp_path / "one", text)
        assert (tmp_path / "real" / "file.txt").read_text() == text
        assert (tmp_path / "one").is_symlink()
        assert (tmp_path / "two").is_symlink()
    assert [p.name for p in (tmp_path / "real").iterdir()] == ["file.txt"]


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UsageError, match="circle"):
        write(tmp_path / "a")
    with pytest.raises(UsageError, match="circle"):
        check_targets({"--json": tmp_path / "a"}, overwrite=True)


def test_a_device_is_written_to_and_stays() -> None:
    check_targets({"--json": Path(os.devnull), "--csv": Path(os.devnull)}, overwrite=False)
    write(os.devnull)
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    check_targets({"--json": pipe}, overwrite=False)
    write(pipe)
    reader.join(10)
    assert read == ["new"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_who_may_read_a_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(0o600)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    there, link, nowhere = tmp_path / "there", tmp_path / "link", tmp_path / "nowhere"
    there.write_text("mine")
    link.symlink_to(there)
    nowhere.symlink_to(tmp_path / "not yet")
    for path in (there, link):
        with pytest.raises(UsageError, match=r"(there|link) exists: .*--overwrite"):
            check_targets({"--csv": path}, overwrite=False)
        check_targets({"--csv": path}, overwrite=True)
    check_targets({"--csv": nowhere, "--json": None}, overwrite=False)
    with pytest.raises(UsageError, match="is a folder"):
        refuse_to_replace([tmp_path], overwrite=True)


def test_two_files_need_two_places(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for one, other in (("a", "a"), ("a", "link"), ("a", "sub/../a")):
        files = {"--json": tmp_path / one, "--csv": tmp_path / other}
        with pytest.raises(UsageError, match="--json and --csv are the same place"):
            check_targets(files, overwrite=True)
    with pytest.raises(UsageError, match="same place"):
        check_targets({"--json": Path("-"), "--csv": Path("/dev/stdout")}, overwrite=False)


def test_a_place_that_cannot_be_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is no folder"):
        check_targets({"--json": tmp_path / "file" / "deep" / "a.json"}, overwrite=True)
    check_targets({"--json": tmp_path / "new" / "deep" / "a.json"}, overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_for_several_files(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "b.png").write_text("mine")
    with pytest.raises(UsageError, match="name a folder"):
        check_folder("-", ["a"], overwrite=overwrite)
    with pytest.raises(UsageError, match="is a file: name a folder"):
        check_folder(tmp_path / "b.png", ["a"], overwrite=overwrite)
    check_folder(tmp_path, ["a.png"], overwrite=overwrite)
    if overwrite:
        check_folder(tmp_path, ["a.png", "b.png"], overwrite=True)
    else:
        with pytest.raises(UsageError, match=r"b\.png exists"):
            check_folder(tmp_path, ["a.png", "b.png"], overwrite=False)
