"""From stored values to what a viewer shows: the standard's gray-scale chain, evaluated once per gray value."""

from typing import Any

import numpy as np

from sapggan_lib.base.errors import SapgganError

WHITE = 65535
MIN_INSIDE = 0.1    # a window is wrong when fewer of the pixels lie inside it ...
MIN_SPAN = 0.1      # ... or when the middle 98 % of them fill less than this share of it
PERCENTILES = (0.005, 0.995)   # what becomes black and white where there is no window, or a wrong one


def presentation(dataset: Any, stored: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Map stored pixels `[H, W]` to uint16 `[H, W]`, 0 black to 65535 white, bone light; with notes."""
    bits, signed = dataset.BitsStored, dataset.get("PixelRepresentation", 0) == 1
    native = np.ascontiguousarray(stored, stored.dtype.newbyteorder("="))
    codes = native.view(f"u{stored.itemsize}")
    counts, size = _histogram(codes), 256**stored.itemsize
    seen = np.flatnonzero(counts)                              # the chain is worked out for these codes alone
    values = seen & ((1 << bits) - 1)
    if signed:
        values = np.where(values >> (bits - 1), values - (1 << bits), values)
    if (values % size != seen).any() and (0x6000, 0x0010) not in dataset:      # old overlays lie in the bits above
        raise SapgganError(f"pixel values do not fit in {bits} {'signed' if signed else 'unsigned'} bits, as the "
                           "header says")
    padding, counts = _padding(dataset, values, signed, bits), counts[seen]
    if not padding.all():
        counts[padding] = 0

    shown, note = _voi(dataset, _modality(dataset, values.astype(np.float64)), counts)
    if dataset.PhotometricInterpretation == "MONOCHROME1" or dataset.get("PresentationLUTShape") == "INVERSE":
        shown = 1 - shown
    table = np.zeros(size, np.uint16)
    table[seen] = np.where(padding, 0, np.rint(shown * WHITE))
    return _look_up(table, codes), [note] if note else []


def stretch(image: np.ndarray) -> np.ndarray:
    """uint16 `[H, W]` of unknown scale to the full range, by robust percentiles."""
    shown = _percentiles(np.arange(WHITE + 1.0), _histogram(image))
    return _look_up(np.rint(shown * WHITE).astype(np.uint16), image)


def pixel_spacing_ratio(dataset: Any) -> float:
    """Height of a pixel over its width; 1.0 where nothing sensible is said."""
    for keyword in ("PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing"):
        value = dataset.get(keyword)
        if value is not None and not isinstance(value, str) and len(value) == 2:
            tall, wide = float(value[0]), float(value[1])
            if tall > 0 and wide > 0 and np.isfinite(tall / wide):
                return tall / wide
    return 1.0


def _histogram(codes: np.ndarray) -> np.ndarray:
    import cv2

    size = 256**codes.itemsize
    return cv2.calcHist([codes], [0], None, [size], [0, size]).ravel().astype(np.float64)


def _look_up(table: np.ndarray, codes: np.ndarray) -> np.ndarray:
    import cv2

    try:
        return cv2.LUT(codes, table)
    except cv2.error:                        # OpenCV 4 has no tables of 65,536; numpy's are four times slower
        return table[codes]


def _padding(dataset: Any, values: np.ndarray, signed: bool, bits: int) -> np.ndarray:
    low = dataset.get("PixelPaddingValue")
    if not isinstance(low, int):
        return np.zeros(len(values), bool)
    if signed and low >> (bits - 1) == 1:        # written unsigned though pixels are signed
        low -= 1 << bits
    high = dataset.get("PixelPaddingRangeLimit")
    high = high if isinstance(high, int) else low
    return (values >= min(low, high)) & (values <= max(low, high))


def _modality(dataset: Any, values: np.ndarray) -> np.ndarray:
    for item in dataset.get("ModalityLUTSequence") or []:
        table, first, _ = _lut(item)
        return table[np.clip(values - first, 0, len(table) - 1).astype(np.int64)]
    slope, intercept = float(dataset.get("RescaleSlope") or 1), float(dataset.get("RescaleIntercept") or 0)
    if not (np.isfinite(slope) and np.isfinite(intercept)) or slope == 0:
        return values
    return values * slope + intercept


def _voi(dataset: Any, x: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, str]:
    """Map modality values to 0..1: the first VOI LUT or window that suits the pixels, else robust percentiles."""
    for item in dataset.get("VOILUTSequence") or []:
        table, first, top = _lut(item)
        shown = table[np.clip(np.floor(x - first), 0, len(table) - 1).astype(np.int64)] / top
        if _suits(shown, counts):
            return shown, ""
    centers, widths = _numbers(dataset.get("WindowCenter")), _numbers(dataset.get("WindowWidth"))
    function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    for center, width in zip(centers, widths, strict=False):
        windowed = window(x, center, width, function)
        if windowed is not None and _suits(windowed, counts):
            return windowed, ""
    return _percentiles(x, counts), "window replaced by percentiles" if centers else "no window"


def _percentiles(x: np.ndarray, counts: np.ndarray) -> np.ndarray:
    low, high = _quantiles(x, counts, *PERCENTILES)
    if high <= low:
        low, high = x[counts > 0].min(), x[counts > 0].max()
    return np.clip((x - low) / max(high - low, 1e-9), 0, 1)


def window(x: np.ndarray, center: float, width: float, function: str = "LINEAR") -> np.ndarray | None:
    """A window as DICOM PS3.3 C.11.2.1.2 writes it, onto 0..1; None when its numbers make no window."""
    if not (np.isfinite(center) and np.isfinite(width)):
        return None
    if function == "SIGMOID" and width > 0:
        return 1 / (1 + np.exp(np.clip(-4 * (x - center) / width, -700, 700)))
    if function == "LINEAR_EXACT" and width > 0:
        return np.clip((x - center) / width + 0.5, 0, 1)
    if width > 1:
        return np.clip((x - (center - 0.5)) / (width - 1) + 0.5, 0, 1)
    return None


def _suits(shown: np.ndarray, counts: np.ndarray) -> bool:
    inside = counts[(shown > 0.002) & (shown < 0.998)].sum() / counts.sum()
    low, high = _quantiles(shown, counts, 0.01, 0.99)
    return bool(inside >= MIN_INSIDE and high - low >= MIN_SPAN)


def _quantiles(values: np.ndarray, counts: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """The values below which the shares `low` and `high` of the counted pixels lie."""
    order = np.argsort(values, kind="stable")
    places = np.searchsorted(np.cumsum(counts[order]), np.array([low, high]) * counts.sum())
    first, second = values[order[np.minimum(places, len(values) - 1)]]
    return float(first), float(second)


def _numbers(value: Any) -> list[float]:
    if value is None or value == "":
        return []
    return [float(v) for v in ([value] if isinstance(value, (str, int, float)) else value)]


def _lut(item: Any) -> tuple[np.ndarray, float, float]:
    """A LUT sequence item's table, the first value it maps, and the largest value it can hold."""
    length, first, bits = (int(v) for v in item.LUTDescriptor)
    length, bits = length or 1 << 16, min(max(bits, 8), 16)
    data = item.LUTData
    if isinstance(data, bytes):
        wide = len(data) >= 2 * length
        table = np.frombuffer(data[: length * 2] if wide else data[:length], "<u2" if wide else "u1")
    else:
        table = np.array(data, dtype=np.int64) & WHITE
    if len(table) < 2:
        raise ValueError("empty lookup table")
    return table[:length].astype(np.float64), first, float((1 << bits) - 1)
