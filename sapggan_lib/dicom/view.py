"""Which way the rays went: PA, AP, lateral or unknown, from what the header says."""

import re
from dataclasses import dataclass
from typing import Any

from sapggan_lib.dicom.terms import term

RADIOGRAPHY = {"", "CR", "DX", "DR", "RG", "OT", "SC"}   # modalities that a chest radiograph comes under
CHEST = re.compile(r"CHEST|THORA|LUNG|PULMO|\bRIBS?\b|TORAX")
OTHER_PART = re.compile(
    r"HIP|PELVI|EXTREM|\bLEG|FEMUR|KNEE|TIBIA|ANKLE|FOOT|FEET|\bTOES?\b|\bHAND|WRIST|FINGER|FOREARM|ELBOW|HUMER"
    r"|SHOULDER|CLAVIC|SKULL|\bHEAD|FACE|SINUS|\bJAW|DENTAL|NECK|SPINE|LUMBAR|SACR|COCCYX|ABDOM|\bKUB\b|BREAST|MAMMO"
)
VIEW_POSITION = {"PA": "PA", "AP": "AP"} | dict.fromkeys(
    ("LL", "RL", "LAT", "LATERAL", "LARGE LATERAL", "LLAT", "RLAT", "LEFT LATERAL", "RIGHT LATERAL"), "lateral"
)
OTHER_VIEW = {"LLD", "RLD", "LAO", "RAO", "LPO", "RPO", "LLO", "RLO", "OBLIQUE"}   # decubitus and oblique
VIEW_CODES = {                                             # DICOM CID 4010: SNOMED RT and SNOMED CT
    "R-10214": "PA", "272479007": "PA", "R-10206": "AP", "399348003": "AP",
    "R-10236": "lateral", "399173006": "lateral", "R-10232": "lateral", "399198007": "lateral",
    "R-10228": "lateral", "399067008": "lateral", "30730003": "lateral",
}  # fmt: skip
MENTIONS = {
    "PA": re.compile(r"(?<![A-Z])P\.?A\.?(?![A-Z])|POSTERO-?\s?ANTERIOR"),
    "AP": re.compile(r"(?<![A-Z])A\.?P\.?(?![A-Z])|ANTERO-?\s?POSTERIOR"),
    "lateral": re.compile(r"(?<![A-Z])LAT(?:ERAL)?(?![A-Z])"),
}


@dataclass(frozen=True)
class ViewDecision:
    """Whether an image is a PA chest radiograph, and how we know."""

    keep: bool        # a chest radiograph whose header says PA
    view: str         # PA, AP, lateral, unknown
    reason: str       # why not: AP, lateral, view unknown, other view, not a chest, not a radiograph; "" when kept
    evidence: str     # the header's element that settled it, such as "ViewPosition LL"


def decide_view(dataset: Any) -> ViewDecision:
    """Decide from a pydicom Dataset (pixels not needed) whether it is a PA chest radiograph.

    The view comes from the first of these that tells it: ViewPosition, ViewCodeSequence, PatientOrientation
    (lateral only: it cannot tell PA from AP), SeriesDescription, StudyDescription and their like. A description
    that names two views ("Chest PA and lateral") tells nothing. Nothing told is `unknown`, which is not kept here.
    """
    view, evidence = _view(dataset)
    modality = _text(dataset, "Modality")
    if modality not in RADIOGRAPHY:
        return ViewDecision(False, view, "not a radiograph", f"Modality {term(dataset, 'Modality')}")
    other = _not_a_chest(dataset)
    if other:
        return ViewDecision(False, view, "not a chest", other)
    if view == "PA":
        return ViewDecision(True, view, "", evidence)
    reason = view if view != "unknown" else "other view" if evidence else "view unknown"
    return ViewDecision(False, view, reason, evidence)


def _view(dataset: Any) -> tuple[str, str]:
    position = _text(dataset, "ViewPosition")
    if position in VIEW_POSITION:
        return VIEW_POSITION[position], f"ViewPosition {position}"
    if position in OTHER_VIEW:
        return "unknown", f"ViewPosition {position}"
    for item in dataset.get("ViewCodeSequence") or []:
        code = _text(item, "CodeValue")
        if code in VIEW_CODES:
            return VIEW_CODES[code], f"ViewCodeSequence {code}"
    orientation = dataset.get("PatientOrientation") or ""
    along_row = "" if isinstance(orientation, str) else str(orientation[0]).upper()
    if along_row[:1] in ("A", "P"):
        return "lateral", f"PatientOrientation {along_row[:1]}"
    for keyword in ("SeriesDescription", "AcquisitionDeviceProcessingDescription", "ProtocolName",
                    "PerformedProcedureStepDescription", "StudyDescription", "RequestedProcedureDescription"):
        text = _text(dataset, keyword)
        if "DECUB" in text or "OBLIQUE" in text:
            continue
        named = [view for view, pattern in MENTIONS.items() if pattern.search(text)]
        if len(named) == 1:
            return named[0], keyword
    return "unknown", ""


def _not_a_chest(dataset: Any) -> str:
    """The element that says that this is no chest, or nothing."""
    part = _text(dataset, "BodyPartExamined")
    if CHEST.search(part):
        return ""
    if OTHER_PART.search(part):
        return f"BodyPartExamined {term(dataset, 'BodyPartExamined')}"
    regions = [_text(item, "CodeMeaning") for item in dataset.get("AnatomicRegionSequence") or []]
    keywords = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription", "StudyDescription")
    described = {keyword: _text(dataset, keyword) for keyword in keywords}
    described["AnatomicRegionSequence"] = " ".join(regions)
    if any(CHEST.search(text) for text in described.values()):
        return ""
    return next((keyword for keyword, text in described.items() if OTHER_PART.search(text)), "")


def _text(dataset: Any, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else " ".join(str(value).upper().split())
