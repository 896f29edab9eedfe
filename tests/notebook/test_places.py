import base64
import html
import json
import os
import unicodedata
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.notebook import places
from sapggan_lib.notebook.places import Hider, hide, private_folder, reveal

DATA = "/hospital/김철수/Müller 1961-04-12/scans"


def hider(strict=False, data=DATA):
    return Hider({"data": data, "seed": 1}, Path("/runs/mine"), Path("/runs/mine"), strict)


def test_places_become_their_parameters_name_and_other_values_stay():
    values = {"data": "/a/b", "loss": "hinge", "losses": ["hinge"], "files": ["c/d", "hinge"], "seed": 3, "table": ""}
    shown, real = hide(values)
    assert shown == values | {"data": "private:data", "files": ["private:files", "hinge"]}
    assert real == {"data": "/a/b", "files": ["c/d", "hinge"]}


def test_a_notebook_gets_the_real_places_of_its_run_and_refuses_ones_that_nobody_gave(monkeypatch):
    shown, real = hide({"data": DATA, "seed": 3})
    with pytest.raises(SapgganError, match="01: data = 'private:data' stands for a place that was left out; write"):
        reveal(shown, "01")
    monkeypatch.setenv(places.PLACES_VARIABLE, json.dumps(real))
    assert reveal(shown, "01") == {"data": DATA, "seed": 3}
    assert reveal({"data": "/elsewhere"}, "01") == {"data": "/elsewhere"}  # changed by hand


@pytest.mark.parametrize("spell", [
    str, repr, json.dumps, html.escape, quote, Path.as_uri, os.path.dirname,
    lambda path: json.dumps(path, ensure_ascii=False), lambda path: path.encode("unicode_escape").decode(),
    lambda path: unicodedata.normalize("NFD", path),
])  # fmt: skip
def test_a_place_is_found_however_it_is_spelled(spell):
    text = f"before {spell(Path(DATA) if spell is Path.as_uri else DATA)}/x.png\nafter"
    clean = hider().text(text)
    assert clean.startswith("before ") and clean.endswith("/x.png\nafter") and "private:data" in clean
    assert not any(secret in clean for secret in ("hospital", "ller", "1961", "\\u", "김", "%"))


def test_behind_a_place_nothing_stays_where_it_may_not():
    assert hider(strict=True).text(f"no {DATA}/O'Brien <m>/x y.dcm: cut\nnext") == "no private:data\nnext"
    assert hider(strict=True).text(f'<td title="{DATA}/a b">{DATA}/c</td>', "markup") == (
        '<td title="private:data">private:data</td>'
    )
    assert hider(strict=True).text(f'kept,"{DATA}/a b",3\n', "table") == 'kept,"private:data",3\n'


def test_keys_that_are_numbers_are_written_as_json_writes_them():
    assert hider().walk({4: (DATA, 1.5, None, True)}) == {"4": ["private:data", 1.5, None, True]}


def test_folders_of_this_machine_are_relative_or_named():
    assert hider().text(f"{places.ROOT}/weights/x and {places.ROOT}") == "weights/x and ."
    assert hider().text(f"/runs/mine/results and {Path.home()}/x") == "private:run/results and ~/x"


@given(st.binary(min_size=1, max_size=3000))
@settings(max_examples=60, deadline=None)
def test_pictures_keep_every_byte(content):
    """Even where the base64 text spells a place: one is taken from the picture itself."""
    picture = base64.b64encode(content).decode()
    secret = "/" + picture[1:5].strip("/=")
    notebook = {"cells": [{"cell_type": "markdown", "source": f"![](data:image/png;base64,{picture})", "outputs": [
        {"data": {"image/png": picture, "text/html": f'<img src="data:image/png;base64,{picture}">', "text/plain": "x"}}
    ]}], "metadata": {"widgets": {"buffers": [{"encoding": "base64", "data": picture}]}}}  # fmt: skip
    for data in (secret, DATA):
        assert hider(strict=True, data=data).walk(notebook) == notebook


LETTERS = st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters="/\\")
NAMES = st.text(LETTERS, min_size=4).filter(lambda name: name.strip(". ") == name and len(set(name)) > 2)


@given(st.lists(NAMES, min_size=2, max_size=3), st.booleans())
@settings(max_examples=100, deadline=None)
def test_random_folders_leave_nothing_of_their_name(parts, strict):
    data = "/" + "/".join(f"Q{part}Q" for part in parts)
    wrapped = {"cells": [{"source": f"data = {data!r}", "outputs": [{"text": data, "evalue": json.dumps(data)}]}],
               "deep": [{"html": html.escape(data), data: [quote(data)]}]}  # fmt: skip
    clean = json.dumps(hider(strict, data).walk(wrapped), ensure_ascii=False)
    for spelling in places.spellings(f"Q{parts[-1]}Q"):
        assert spelling not in clean


def test_the_private_folder_is_one_per_run_and_only_its_users(tmp_path, monkeypatch):
    monkeypatch.delenv("SAPGGAN_PRIVATE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    one, two = private_folder(tmp_path / "a" / "run"), private_folder(tmp_path / "b" / "run")
    assert one != two and one == private_folder(tmp_path / "a" / "run")
    assert one.parent == tmp_path / "cache" / "sapggan" / "runs"
    assert one.stat().st_mode & 0o777 == 0o700
    one.chmod(0o755)
    assert private_folder(tmp_path / "a" / "run").stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("SAPGGAN_PRIVATE", str(tmp_path / "big"))
    assert private_folder(tmp_path / "a" / "run").parent == tmp_path / "big"
