import pytest

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.preprocessing.view_table import find_table, read_table

LAYOUTS = {
    "NIH": ("Image Index,Finding Labels,Patient ID,View Position\n00000061_012.png,A,61,AP\n00000062_000.png,,62,PA\n",
            "images/00000062_000.png", ("PA", "62")),
    "RSNA": ("filename,label,view_estimate,p_pa\nNormal-1.jpg,Normal,PA,1.0\n", "images/Normal-1.jpg", ("PA", "")),
    "MIMIC-CXR-JPG": ("dicom_id,subject_id,study_id,ViewPosition,Rows\n02aa-bb,10000032,5041,LATERAL,10\n",
                      "p10/p10000032/s5041/02aa-bb.jpg", ("lateral", "10000032")),
    "PadChest": ("ImageID;PatientID;Projection\n1.png;7;PA\n", "1.png", ("PA", "7")),
    "whole paths": ("Path,AP/PA,Patient\nv1/p1/view1.jpg,AP,1\nv1/p2/view1.jpg,PA,2\n", "v1/p2/view1.jpg", ("PA", "2")),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_known_layouts_are_recognised(tmp_path, name):
    text, file, expected = LAYOUTS[name]
    (tmp_path / "table.csv").write_text(text)
    assert read_table(tmp_path / "table.csv").find(file) == expected


def test_a_missing_column_is_named_with_the_columns_found(tmp_path):
    (tmp_path / "table.csv").write_text("filename,label\na.png,x\n")
    with pytest.raises(SapgganError, match=r'lacks a view column .*; found: filename, label'):
        read_table(tmp_path / "table.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(SapgganError, match=r"lacks a file-name and a view column .*; found: nothing"):
        read_table(tmp_path / "empty.csv")


def test_rows_that_disagree_and_unknown_words_are_unknown(tmp_path):
    (tmp_path / "table.csv").write_text("file,view\na.png,PA\na.png,AP\nb.png,antero\n\nshort\n")
    table = read_table(tmp_path / "table.csv")
    assert table.find("a.png") == ("unknown", "") == table.find("b.png")
    assert table.find("c.png") is None


def test_one_table_in_the_folder_is_found_and_two_are_a_question(tmp_path):
    (tmp_path / "notes.csv").write_text("who,what\n")
    assert find_table(tmp_path) is None
    (tmp_path / "views.csv").write_text("file,view\na.png,PA\n")
    found = find_table(tmp_path)
    assert found and found.path.name == "views.csv"
    (tmp_path / "more.csv").write_text("file,view\na.png,PA\n")
    with pytest.raises(SapgganError, match=r"several tables tell views \(more\.csv, views\.csv\); choose one"):
        find_table(tmp_path)


def test_a_field_without_end_names_its_line_and_what_to_look_for(tmp_path):
    rows = "".join(f"{i}.png,PA\n" for i in range(20_000))
    (tmp_path / "table.csv").write_text(f'file,view\na.png,PA\nb.png,"PA\n{rows}')
    with pytest.raises(SapgganError, match=r"table\.csv: line [\d,]+ cannot be read \(field larger .*quotation mark"):
        read_table(tmp_path / "table.csv")


@pytest.mark.parametrize("content", [
    "file,view\na.png,PA\n".encode("utf-16"), b"file,view\na\0.png,PA\n", b"\xff,view\n",
    b"file,view\n" + "\xe4.png,PA\n".encode("latin-1"),
])  # fmt: skip
def test_what_is_no_text_is_one_sentence(tmp_path, content):
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(SapgganError, match=r"table\.csv: not a readable CSV table .*UTF-8"):
        read_table(tmp_path / "table.csv")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_system_s_line_ends_and_quoted_ones_are_read(tmp_path, end):
    (tmp_path / "table.csv").write_bytes(f'\ufefffile,note,view{end}a.png,"two{end}lines",PA{end}b.png,,AP'.encode())
    table = read_table(tmp_path / "table.csv")
    assert table.find("a.png") == ("PA", "") and table.find("b.png") == ("AP", "")
