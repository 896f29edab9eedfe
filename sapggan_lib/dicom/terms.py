"""The terms that DICOM defines for what a manifest tells; a header may hold free text in their place: a name."""

from typing import Any

OTHER = "other"
TERMS = {
    # PS3.3 C.7.3.1.1.1, with the retired DR and RG of old archives.
    "Modality": frozenset((
        "ANN", "AR", "ASMT", "AU", "BDUS", "BI", "BMD", "CFM", "CR", "CT", "CTPROTOCOL", "DG", "DMS", "DOC", "DR",
        "DX", "ECG", "EEG", "EMG", "EOG", "EPS", "ES", "FA", "FID", "FS", "GM", "HC", "HD", "IO", "IOL", "IVOCT",
        "IVUS", "KER", "KO", "LEN", "LP", "LS", "MA", "MG", "MR", "MS", "NM", "OAM", "OCT", "OP", "OPM", "OPR", "OPT",
        "OPTBSV", "OPTENF", "OPV", "OSS", "OT", "PA", "PLAN", "PR", "PT", "PX", "REG", "RESP", "RF", "RG", "RTDOSE",
        "RTIMAGE", "RTINTENT", "RTPLAN", "RTRAD", "RTRECORD", "RTSEGANN", "RTSTRUCT", "RWV", "SC", "SEG", "SM", "SMR",
        "SR", "SRF", "STAIN", "TEXTUREMAP", "TG", "US", "VA", "VF", "XA", "XAPROTOCOL", "XC",
    )),
    # PS3.3 C.7.6.3.1.2
    "PhotometricInterpretation": frozenset((
        "MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "HSV", "ARGB", "CMYK", "YBR_FULL", "YBR_FULL_422",
        "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT", "XYB",
    )),
    # PS3.16 Annex L, what radiography may name; and what archives write in its place.
    "BodyPartExamined": frozenset((
        "ABDOMEN", "ABDOMENPELVIS", "ANKLE", "AORTA", "ARM", "AXILLA", "BACK", "BLADDER", "BODY",
        "BREAST", "BRONCHUS", "BUTTOCK", "CALCANEUS", "CALF", "CERVICALSPINE", "CHEEK", "CHEST", "CHESTABDOMEN",
        "CHESTABDPELVIS", "CLAVICLE", "COCCYX", "COLON", "CSPINE", "CTSPINE", "DUODENUM", "EAR", "ELBOW", "ESOPHAGUS",
        "EXTREMITY", "EYE", "FACE", "FEMUR", "FINGER", "FOOT", "FOREARM", "HAND", "HEAD", "HEART", "HIP", "HUMERUS",
        "JAW", "JEJUNUM", "KIDNEY", "KNEE", "KUB", "LARYNX", "LEG", "LIVER", "LOWERLEG", "LOWERLIMB", "LSPINE",
        "LSSPINE", "LUMBARSPINE", "LUNG", "MANDIBLE", "MAXILLA", "MEDIASTINUM", "MOUTH", "NECK", "NECKCHEST", "NOSE",
        "ORBIT", "PANCREAS", "PATELLA", "PELVIS", "PHARYNX", "RIB", "RIBS", "SACRUM", "SCAPULA", "SCALP", "SHOULDER",
        "SIJOINT", "SINUS", "SKULL", "SPINE", "SPLEEN", "SSPINE", "STERNUM", "STOMACH", "TESTIS", "THIGH",
        "THORACICSPINE", "THORAX", "THUMB", "TIBIA", "TLSPINE", "TMJ", "TOE", "TORAX", "TRACHEA", "TSPINE",
        "UPPERARM", "UPPERLIMB", "UTERUS", "WHOLEBODY", "WRIST", "ZYGOMA",
    )),
}  # fmt: skip


def term(dataset: Any, keyword: str) -> str:
    """The one of DICOM's terms that the element holds, "LOWER LEG" being "LOWERLEG"; "" for nothing, else "other"."""
    value = " ".join(str(dataset.get(keyword) or "").upper().split())
    spellings = value, value.translate(dict.fromkeys(map(ord, " _-")))
    return next((spelling for spelling in spellings if spelling in TERMS[keyword]), OTHER if value else "")
