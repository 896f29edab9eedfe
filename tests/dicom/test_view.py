
import pytest
from pydicom.dataset import Dataset

from sapggan_lib.dicom.view import decide_view


def header(**elements) -> Dataset:
    dataset = Dataset()
    dataset.Modality, dataset.BodyPartExamined = "DX", "CHEST"
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def code(value: str) -> list[Dataset]:
    item = Dataset()
    item.CodeValue = value
    return [item]


@pytest.mark.parametrize(
    ("elements", "view", "evidence"),
    [
        ({"ViewPosition": "PA"}, "PA", "ViewPosition PA"),
        ({"ViewPosition": "LARGE LATERAL"}, "lateral", "ViewPosition LARGE LATERAL"),
        ({"ViewPosition": "AP", "ViewCodeSequence": code("R-10214")}, "AP", "ViewPosition AP"),
        ({"ViewPosition": "", "ViewCodeSequence": code("R-10214")}, "PA", "ViewCodeSequence R-10214"),
        ({"ViewCodeSequence": code("399348003")}, "AP", "ViewCodeSequence 399348003"),
        ({"ViewCodeSequence": code("R-10236"), "SeriesDescription": "PA"}, "lateral", "ViewCodeSequence R-10236"),
        ({"PatientOrientation": ["A", "F"], "SeriesDescription": "PA"}, "lateral", "PatientOrientation A"),
        ({"PatientOrientation": ["L", "F"], "SeriesDescription": "chest p.a."}, "PA", "SeriesDescription"),
        ({"PatientOrientation": ["L", "F"]}, "unknown", ""),
        ({"PatientOrientation": ""}, "unknown", ""),
        ({"SeriesDescription": "Chest PA and lateral"}, "unknown", ""),
        ({"SeriesDescription": "2 views", "StudyDescription": "THORAX AP supine"}, "AP", "StudyDescription"),
        ({"SeriesDescription": "Lat. decubitus"}, "unknown", ""),
        ({"SeriesDescription": "LATERAL"}, "lateral", "SeriesDescription"),
        ({"SeriesDescription": "Spanish Papa"}, "unknown", ""),
        ({}, "unknown", ""),
    ],
)
def test_the_first_element_that_tells_the_view_decides(elements, view, evidence):
    decision = decide_view(header(**elements))
    assert (decision.view, decision.evidence) == (view, evidence)
    assert decision.keep == (view == "PA")


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"BodyPartExamined": "HIP"}, "not a chest"),
        ({"BodyPartExamined": "EXTREMITY"}, "not a chest"),
        ({"BodyPartExamined": "", "StudyDescription": "KNEE AP"}, "not a chest"),
        ({"BodyPartExamined": "", "StudyDescription": "CHEST AND ABDOMEN"}, ""),
        ({"BodyPartExamined": "PORTABLE CHEST"}, ""),
        ({"BodyPartExamined": "UNKNOWN"}, ""),
        ({"Modality": "CT"}, "not a radiograph"),
        ({"ViewPosition": "RAO"}, "other view"),
        ({"ViewPosition": ""}, "view unknown"),
        ({"ViewPosition": "LL"}, "lateral"),
    ],
)
def test_reasons_for_dropping(elements, reason):
    assert decide_view(header(**{"ViewPosition": "PA"} | elements)).reason == reason


@pytest.mark.parametrize(
    ("elements", "reason", "evidence"),
    [
        ({"BodyPartExamined": "KNEE FISCHER KARL"}, "not a chest", "BodyPartExamined other"),
        ({"BodyPartExamined": "Knee"}, "not a chest", "BodyPartExamined KNEE"),
        ({"Modality": "FISCHER"}, "not a radiograph", "Modality other"),
        ({"ViewPosition": "PA FISCHER", "SeriesDescription": "Fischer PA"}, "", "SeriesDescription"),
    ],
)
def test_the_evidence_holds_no_free_text(elements, reason, evidence):
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    decision = decide_view(dataset)
    assert (decision.reason, decision.evidence) == (reason, evidence)
