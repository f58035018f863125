"""Files of points: equal numbers in every format, and one clear line for everything else."""

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scorebench.datasets import point_files
from scorebench.datasets.errors import UsageError
from scorebench.datasets.point_files import content_of, read_points

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64)
PART = b"a,b,part\n1,2,training\n3,4,test\n"


def written(frame, suffix):
    buffer = io.BytesIO()
    if suffix == ".npy":
        np.save(buffer, frame.to_numpy())
    elif suffix == ".npz":
        np.savez_compressed(buffer, points=frame.to_numpy(), other=np.zeros(2))
    elif suffix == ".parquet":
        frame.to_parquet(buffer)
    else:
        frame.to_csv(buffer, index=False)
    return buffer.getvalue()


@given(st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=1, max_size=5))
@pytest.mark.parametrize("suffix", [".csv", ".npy", ".npz", ".parquet"])
def test_every_format_has_the_same_bits(suffix, rows):
    points = np.array(rows)
    frame = pd.DataFrame(points, columns=["a", "b", "c"])
    table = read_points(f"mine{suffix}", written(frame, suffix))
    assert table.points.tobytes() == (points + 0.0).tobytes() or (table.points == points).all()
    named = suffix in (".csv", ".parquet")
    assert table.columns == (("a", "b", "c") if named else ("0", "1", "2"))


def test_columns_are_chosen_by_name_and_one_may_split():
    table = read_points("x.csv", b"a,b,part\n1,2,training\n3,4,test\n", split="part")
    assert table.columns == ("a", "b")
    assert table.part.tolist() == ["training", "test"]
    assert read_points("x.csv", PART, columns=["b"]).points.tolist() == [[2], [4]]
    assert read_points("x.csv", PART, columns=["b", "a"]).points.tolist() == [[2, 1], [4, 3]]


@pytest.mark.parametrize("text", ["1;2\n3;4", "1\t2\n3\t4\n", "\ufeffa,b\n1, 2\n\n3,4\n"])
def test_csv_of_other_programs(text):
    assert read_points("x.csv", text.encode()).points.tolist() == [[1, 2], [3, 4]]


def test_images_are_points():
    buffer = io.BytesIO()
    np.save(buffer, np.arange(24).reshape(2, 3, 4))
    assert read_points("x.npy", buffer.getvalue()).points.shape == (2, 12)


def test_rows_without_a_number_are_named_and_counted():
    data = b"a,b\n1,2\n,4\n5,inf\n7,8\n"
    with pytest.raises(UsageError, match=r"2 of 4 rows .*row 2, 3 .*column 'a'.*drop_missing"):
        read_points("x.csv", data)
    table = read_points("x.csv", data, drop_missing=True)
    assert (table.points.tolist(), table.dropped) == ([[1, 2], [7, 8]], 2)
    with pytest.raises(UsageError, match="each of its rows"):
        read_points("x.csv", b"a,b\n1,\n,2\n", drop_missing=True)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("x.xls", b"1", "must end in .csv, .npy, .npz, .parquet"),
        ("x.csv", b"", "is empty"),
        ("x.csv", b"\n\n", "is empty"),
        ("x.csv", b"a,b\n", "holds no points"),
        ("x.csv", b"\xff\xfe\x00\x01", "not text in UTF-8"),
        ("x.csv", b"a,b\n1,2\n3,4,5\n", "cannot be read as CSV"),
        ("x.csv", b"a,b\n1,2,3\n3,4,5\n", "names 2 columns in its first line"),
        ("x.csv", b"a,a\n1,2\n", "two columns called 'a'"),
        ("x.csv", b"a,b\n1,u\n2,v\n", "'b' holds text .'u' in row 1; 2 in all.*columns = ..a.."),
        ("x.csv", b"a b\n1 2\n3 4\n", "separated by commas, semicolons or tabs$"),
        ("x.csv", b"a;b\n1,5;2,5\n", "numbers are written as 1.5"),
        ("x.csv", b",a,b\n0,1,2\n1,3,5\n", "no name and counts the rows.*columns = ..a., .b.."),
        ("x.npy", b"abc", "cannot be read as NPY: numpy.save"),
        ("x.npz", b"abc", "cannot be read as NPZ"),
        ("x.parquet", b"abc", "cannot be read as PARQUET"),
    ],
)
def test_bad_files_are_refused_in_one_line(name, data, words):
    with pytest.raises(UsageError, match=words) as refused:
        read_points(name, data)
    assert "\n" not in str(refused.value)


def test_a_column_without_a_name_may_be_a_coordinate():
    assert read_points("x.csv", b",a\n0,1\n2,3\n").columns == ("", "a")
    assert read_points("x.csv", b",a\n0,1\n1,3\n", columns=["a"]).points.tolist() == [[1], [3]]


def test_pickles_are_not_loaded():
    for array in (np.array([{}], dtype=object), np.array(["a"]), np.ones(2) * 1j, np.array(3.0)):
        buffer = io.BytesIO()
        np.save(buffer, array)
        with pytest.raises(UsageError, match=r"'x\.npy'"):
            read_points("x.npy", buffer.getvalue())


def test_unknown_columns_get_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'part'"):
        read_points("x.csv", PART, split="parts")


def test_missing_files(tmp_path):
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_points(tmp_path / "x.csv")
    for path in ("/dev/zero", tmp_path):
        with pytest.raises(UsageError, match="is not a file"):
            content_of(path)


def test_more_than_memory_is_refused(tmp_path, monkeypatch):
    (tmp_path / "x.csv").write_bytes(PART)
    monkeypatch.setattr(point_files, "_COPIES", 1e15)
    with pytest.raises(UsageError, match=r"GB of memory.* use a part"):
        read_points(tmp_path / "x.csv")
