"""Tables from spreadsheets of any country."""

from __future__ import annotations

import os

import pytest

from rl2qc.cohort.inputs.lists import read_mpp_table, read_slide_list
from rl2qc.core.csv_files import read_csv
from rl2qc.errors import UsageError
from rl2qc.images.sources.exclusion import read_paths
from rl2qc.scoring.agree import agree
from rl2qc.scoring.other_scores import read_scores


@pytest.mark.parametrize(
    "text",
    [
        "wsi,mpp\na.svs,0.25\n",
        "wsi;mpp\na.svs;0,25\n",
        "wsi;mpp\r\na.svs;0.25\r\n",
        "sep=;\nwsi;mpp\na.svs;0,25\n",
        "wsi\tmpp\na.svs\t0,25\n",
        '"wsi";"mpp"\n"a.svs";"0,25"\n',
        "\ufeffWSI; mpp\na.svs; 0,25\n",
    ],
)
def test_lists_of_any_country(tmp_path, text):
    for encoding in ("utf-8", "utf-16"):
        path = tmp_path / "list.csv"
        path.write_bytes(text.removeprefix("\ufeff" * (encoding == "utf-16")).encode(encoding))
        [(slide, mpp)] = read_slide_list(path)
        assert (slide.name, mpp) == ("a.svs", 0.25)
        assert read_mpp_table(path) == {"a.svs": 0.25}


def test_other_lists_are_read_alike(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("rank;file\n1;a.png\n2;b.png\n")
    assert read_paths(path) == ["a.png", "b.png"]
    path.write_text("generator;dice:higher\nours;0,75\n")
    assert read_scores(path)["dice"].values == {"ours": 0.75}


@pytest.mark.parametrize(
    "text", ["sep=;\nrank;File\n1;a.png\n2;b.png\n", "FILE;Label\na.png;bad\nb.png;Bad\n"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_patches_to_leave_out_are_listed_as_in_any_table(tmp_path, text, encoding):
    (tmp_path / "list.csv").write_bytes(text.encode(encoding))
    assert read_paths(tmp_path / "list.csv") == ["a.png", "b.png"]


@pytest.mark.parametrize("reader", [read_slide_list, read_mpp_table])
@pytest.mark.parametrize("header", ["wsi,mpp,MPP", "wsi,mpp,WSI", "path, mpp ,mpp"])
def test_a_column_that_is_there_twice_is_refused(tmp_path, reader, header):
    (tmp_path / "list.csv").write_text(f"{header}\na.svs,0.5,0.25\n")
    with pytest.raises(UsageError, match=r"list\.csv has more than one column"):
        reader(tmp_path / "list.csv")


READERS = {
    "slides": (read_slide_list, "wsi,mpp\n{}\n"),
    "table": (read_mpp_table, "wsi,mpp\n{}\n"),
    "excluded": (read_paths, "file,rank\n{}\n"),
    "scores": (read_scores, "generator,dice\n{}\n"),
}
BAD = {
    "x" * 200_000 + ",0.5": "is no CSV file: field larger",
    "a\0b,0.5": "holds a NUL byte",
    '"a.svs,0.5': "is no CSV file",
    "a.svs,0,25": "more cells in line 2 than in its header",
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("row", BAD)
def test_what_is_no_table_is_one_clear_line(tmp_path, reader, row):
    read, text = READERS[reader]
    (tmp_path / "list.csv").write_text(text.format(row))
    with pytest.raises(UsageError, match=BAD[row]) as raised:
        read(tmp_path / "list.csv")
    assert "\n" not in str(raised.value)
    assert "list.csv" in str(raised.value)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "list.csv")
    for read, _ in READERS.values():
        with pytest.raises(UsageError, match=r"named pipe|no such file"):
            read(tmp_path / "list.csv")


def test_lines_are_counted_as_an_editor_does(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text('sep=;\nwsi;mpp\n\n"a\nb";0,5\nc;1\n')
    assert [line for line, _ in read_csv(path, ["wsi"]).rows] == [5, 6]


@pytest.mark.parametrize("cell", ["1_0", "٣", "1e400", "nan", "--1", "0x10", "\uff11"])
def test_what_only_python_takes_for_a_number_is_none(tmp_path, cell):
    path = tmp_path / "scores.csv"
    path.write_text(f"generator,dice,fid\na,{cell},3\nb,.2,2\nc,.3,1\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"scores\.csv: dice in row 1 is"):
        agree(path)


@pytest.mark.parametrize("read", [agree, read_scores])
def test_what_is_no_file_is_called_by_its_kind(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "ring").symlink_to("ring")
    known = {tmp_path: "is a folder", tmp_path / "pipe": "is a named pipe", "/dev/zero": "a device"}
    for path, kind in {**known, tmp_path / "ring": "no such file"}.items():
        with pytest.raises(UsageError, match=kind):
            read(path)


def test_a_shell_may_give_a_command_in_place_of_a_file():
    table = "generator,dice,fid\na,.1,3\nb,.2,2\nc,.3,1\nd,.5,.5\n"
    reading, writing = os.pipe()
    os.write(writing, table.encode())
    os.close(writing)
    try:
        assert agree(f"/dev/fd/{reading}").tasks
    finally:
        os.close(reading)
