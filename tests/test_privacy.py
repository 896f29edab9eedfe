"""What identifies a person stays out of everything that may be shared, whatever script or form it is written in."""

import csv
import os
import re
import stat
import subprocess
import sys
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sapggan_lib import privacy
from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.cli import main
from sapggan_lib.phantoms.files import Shot, phantom_dataset
from sapggan_lib.preprocessing.pipeline import preprocess
from sapggan_lib.runs.jobs import plan
from sapggan_lib.runs.runner import run
from sapggan_lib.store.store import read_manifest, write_store

NAMES = [
    "김^철수", "山田^太郎", "Müller^Jürgen", "FISCHER^KARL", "Иванов^Пётр", "Nguyễn^Thị Ánh", "janedoe", "O'Brien^Séan",
]  # fmt: skip
IDENTIFIERS = ["4711-815", "00012345", "MRN 77.0042", "p10000032", "KH/2024/0815"]
DATES = ["19610412", "20031231"]
# Every element that a scanner's user can type into, and a few that hold codes by the standard.
ELEMENTS = [
    "PatientName", "PatientID", "PatientBirthDate", "OtherPatientNames", "PatientComments", "AccessionNumber",
    "StudyID", "InstitutionName", "StationName", "ReferringPhysicianName", "OperatorsName", "StudyDescription",
    "SeriesDescription", "ProtocolName", "ImageComments", "WindowCenterWidthExplanation",
]  # fmt: skip
CODES = [
    "BodyPartExamined", "ViewPosition", "Modality", "PhotometricInterpretation", "PatientOrientation",
    "BurnedInAnnotation", "PresentationLUTShape", "ImageLaterality",
]  # fmt: skip
CELLS = {
    "path": r"[0-9a-f]{16}", "status": "kept|dropped|failed", "index": r"\d*", "view": "PA|AP|lateral|unknown|",
    "modality": r"[A-Z]{2,10}|other|", "body_part": r"[A-Z]+|other|", "photometric": r"[A-Z_0-9 ]+|other|",
    "rows": r"\d*", "columns": r"\d*", "bits_stored": r"\d*", "patient": r"[0-9a-f]{16}|", "sha256": r"[0-9a-f]{64}|",
}  # fmt: skip


def forms(identifier: str) -> set[str]:
    """How one identifier may be written in a header, a file name or a table."""
    words = [word for word in re.split(r"[\^/]", identifier) if len(word) >= 2]
    plain = re.sub(r"[\W_]", "", identifier)
    found = {identifier, plain, " ".join(words), "_".join(reversed(words)), *(w for w in words if not w.isascii())}
    if identifier.isdigit():
        found |= {identifier.lstrip("0")}
    if identifier in DATES:
        year, month, day = identifier[:4], identifier[4:6], identifier[6:]
        found |= {f"{year}-{month}-{day}", f"{day}.{month}.{year}"}
    ascii_only = unicodedata.normalize("NFD", identifier).encode("ascii", "ignore").decode()
    found |= {ascii_only, identifier.replace("ü", "ue")} - {""}
    found |= {unicodedata.normalize(form, text) for text in found for form in ("NFC", "NFD")}
    return {text for text in found if len(text) >= (2 if not text.isascii() else 5)}


def traces(identifiers: list[str], outputs: dict[str, bytes]) -> list[tuple[str, str]]:
    """Each output in which a form of an identifier is found, in any encoding that text is written in."""
    lowered = {name: (data + data.lower()) for name, data in outputs.items()}
    found = []
    for form in {form for identifier in identifiers for form in forms(identifier)}:
        written = {form.lower().encode(), form.encode(), form.encode("utf-16-le"), form.encode("unicode_escape")}
        written |= {form.encode("latin-1", "ignore")} if not form.encode("latin-1", "replace").count(b"?") else set()
        found += [(form, name) for name, data in lowered.items() if any(w in data for w in written if len(w) > 3)]
    return found


def left(folder: Path) -> dict[str, bytes]:
    """All files below `folder`, hidden ones too, with their names."""
    return {str(f.relative_to(folder)): str(f.relative_to(folder)).encode() + f.read_bytes()
            for f in folder.rglob("*") if f.is_file()}


identifier = st.sampled_from(NAMES + IDENTIFIERS + DATES) | st.from_regex(r"[A-Z]{3}[0-9]{6,9}", fullmatch=True)
planted = st.lists(
    st.tuples(identifier, st.sets(st.sampled_from(ELEMENTS + CODES), min_size=1), st.integers(0, 9)),
    min_size=2, max_size=5,
)


def as_name(text: str) -> str:
    return text.replace("/", "-")


def plant(source: Path, cases: list, seed: int, good: int = 1) -> None:
    """A DICOM file for each case, its identifier all over header, folder and name, and `good` others that are kept."""
    random = np.random.default_rng(seed)
    for number, (text, elements, kind) in enumerate(cases):
        written = sorted(forms(text))
        dataset = phantom_dataset(Shot("", number, 1, "PA", 12, "MONOCHROME2", True, "ExplicitVRLittleEndian"), 0, 64)
        dataset.SpecificCharacterSet = "ISO_IR 192"
        for keyword in sorted(elements):
            if keyword in CODES:                           # pydicom writes no other than these
                chosen = random.choice([form for form in written if form.isascii()] or ["FISCHER"])
            else:
                chosen = "19610412" if keyword.endswith("Date") else random.choice(written)
            setattr(dataset, keyword, str(chosen))
        dataset.private_block(0x0011, "ACME", create=True).add_new(1, "LO", str(random.choice(written)))
        place = source / as_name(random.choice(written)) / f"{number}{as_name(random.choice(written))}.dcm"
        place.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(place, enforce_file_format=True)
        data = place.read_bytes()
        if kind < 3:                                       # a file that fails: cut, no DICOM, with bytes missing
            place.write_bytes((data[: len(data) // 2], text.encode() * 40, data[:600] + data[700:])[kind])
    for number in range(good):
        shot = Shot("", 90 + number, 1, "PA", 12, "MONOCHROME2", True, "ExplicitVRLittleEndian")
        phantom_dataset(shot, 0, 64).save_as(source / f"good{number}.dcm", enforce_file_format=True)


@given(planted, st.integers(0, 2**32 - 1))
@pytest.mark.filterwarnings("ignore:.*VR")
@settings(max_examples=12, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_no_identifier_in_a_header_or_name_is_in_the_store_or_on_the_console(tmp_path_factory, capsys, cases, seed):
    folder = tmp_path_factory.mktemp("planted")
    plant(folder / "source", cases, seed)
    assert main(["preprocess", str(folder / "source"), str(folder / "store"), "--size", "16", "--workers", "1"]) == 0
    console = "".join(capsys.readouterr()).replace(str(folder), "")
    assert not traces([text for text, _, _ in cases], left(folder / "store") | {"console": console.encode()})
    for row in read_manifest(folder / "store"):
        assert all(re.fullmatch(pattern, row[column]) for column, pattern in CELLS.items()), row


@pytest.mark.filterwarnings("ignore:.*VR")
@pytest.mark.parametrize("publishable", [True, False])
def test_no_identifier_is_in_what_a_run_leaves_or_prints(tmp_path, capfd, publishable):
    """Identifiers in headers and file names of the input, and in its folder's name where the run is publishable."""
    source = tmp_path / (as_name(NAMES[0]) if publishable else "scans")
    cases = [(text, set(ELEMENTS), 3) for text in NAMES + IDENTIFIERS + DATES] + [(NAMES[1], set(CODES), 0)]
    plant(source, cases, seed=0, good=20)
    jobs = plan(["01"], "smoke", {"size": 32, "n_phantom": 20}, data=str(source), publishable=publishable)
    run(jobs, tmp_path / "run", "smoke")
    console = "".join(capfd.readouterr())
    assert "done in" in console
    assert not traces([text for text, _, _ in cases], left(tmp_path / "run") | {"console": console.encode()})


def test_no_identifier_of_the_training_images_is_in_samples(tmp_path, capsys):
    plant(tmp_path / "source", [(text, set(ELEMENTS), 3) for text in NAMES], seed=0, good=20)
    store, trained, samples = (str(tmp_path / name) for name in ("store", "trained", "samples"))
    assert main(["preprocess", str(tmp_path / "source"), store, "--size", "16", "--workers", "1"]) == 0
    narrow = ["--set", "model.widths=[4,4,4]", "--set", "model.latent=4", "--set", "batch=4", "--kimg", "0.02"]
    assert main(["train", "--data", store, "--out", trained, *narrow]) == 0
    assert main(["sample", trained, samples, "--n", "3"]) == 0
    assert main(["sample", trained, samples, "--n", "3", "--format", "dicom"]) == 0
    outputs = left(tmp_path / "trained") | left(tmp_path / "samples")
    assert len(outputs) > 10 and not traces(NAMES, outputs | {"console": "".join(capsys.readouterr()).encode()})


def test_no_identifier_in_an_image_name_or_its_table_is_in_the_store(tmp_path, capsys):
    rows = [["Image Index", "View Position", "Patient ID"]]
    (tmp_path / "source").mkdir()
    for number, text in enumerate(NAMES + IDENTIFIERS + DATES):
        folder = tmp_path / "source" / as_name(text)
        folder.mkdir()
        cv2.imwrite(str(folder / "x.png"), np.random.default_rng(number).integers(0, 256, (32, 32), dtype=np.uint8))
        (folder / "x.png").rename(folder / f"{as_name(text)}.png")
        rows.append([f"{as_name(text)}/{as_name(text)}.png", "PA" if number else "AP", text])
    (tmp_path / "source" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n" + NAMES[0].encode())
    rows.append(["cut.png", "PA", NAMES[0]])
    with (tmp_path / "source" / "table.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)
    assert main(["preprocess", str(tmp_path / "source"), str(tmp_path / "store"), "--size", "16"]) == 0
    console = "".join(capsys.readouterr())
    assert "1 failed" in console
    assert not traces(NAMES + IDENTIFIERS + DATES, left(tmp_path / "store") | {"console": console.encode()})


def test_which_leads_back_for_whoever_has_the_key(phantoms, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SAPGGAN_PATIENT_KEY", str(tmp_path / "private" / "key"))
    preprocess(phantoms / "study00002", tmp_path / "store", PreprocessConfig(size=16), workers=1)
    row = next(row for row in read_manifest(tmp_path / "store") if row["index"] == "0")
    assert main(["which", str(tmp_path / "store"), "0"]) == main(["which", str(tmp_path / "store"), row["path"]]) == 0
    one, other = capsys.readouterr().out.splitlines()
    assert one == other and Path(one).parent == phantoms / "study00002"
    assert one == str(privacy.original_path(tmp_path / "store", 0))
    files = [file for file in (tmp_path / "private").rglob("*") if file.is_file()]
    assert len(files) == 2 and all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    monkeypatch.setenv("SAPGGAN_PATIENT_KEY", str(tmp_path / "stranger"))
    with pytest.raises(SapgganError, match="does not lead back to its files; take the key of the user who made"):
        privacy.original_path(tmp_path / "store", 0)
    with pytest.raises(SapgganError, match='no row has index "7"'):
        privacy.original_path(tmp_path / "store", 7)


def test_a_generated_store_leads_back_to_nothing(tmp_path):
    write_store(tmp_path / "store", np.zeros((2, 8, 8), np.uint8))
    with pytest.raises(SapgganError, match="does not lead back"):
        privacy.original_path(tmp_path / "store", 0)


def test_a_folder_named_after_its_patient_has_another_hash_than_the_patient():
    key = bytes(32)
    assert privacy.path_hash(key, "4711-815") != privacy.patient_hash(key, "4711-815")
    assert privacy.path_hash(key, "a") != privacy.path_hash(bytes(31) + b"1", "a")
    assert privacy.patient_hash(key, " ") == ""


@pytest.mark.parametrize("links", [True, False])
def test_first_users_who_race_for_the_key_get_one(tmp_path, links):
    code = "import sys; from pathlib import Path; from sapggan_lib import privacy\n"
    if not links:
        code += "def refuse(*_): raise OSError(95, 'no hard links')\nPath.hardlink_to = refuse\n"
    code += "input(); print(privacy.patient_key().hex())"
    environment = os.environ | {"SAPGGAN_PATIENT_KEY": str(tmp_path / "new" / "key")}
    users = [subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              env=environment) for _ in range(4)]
    for user in users:
        user.stdin.write(b"\n")
        user.stdin.flush()
    keys = {user.communicate()[0].strip() for user in users}
    assert keys == {(tmp_path / "new" / "key").read_bytes().strip()} and len(next(iter(keys))) == 64
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["key"]
    assert stat.S_IMODE((tmp_path / "new" / "key").stat().st_mode) == 0o600
