import io
import tracemalloc
import zlib

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import ROOT
from sapggan_lib.dicom.codestream import codestream_size
from sapggan_lib.dicom.read import header_facts, read_header, read_pixels, read_radiograph
from sapggan_lib.dicom.write import write_secondary_capture
from sapggan_lib.phantoms.files import Shot, phantom_dataset

EXPLICIT = Shot("", 1, 1, "PA", 12, "MONOCHROME2", True, "ExplicitVRLittleEndian")


def as_bytes(dataset: Dataset, **arguments) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True, **arguments)
    return stream.getvalue()


@pytest.fixture
def phantom():
    return phantom_dataset(EXPLICIT, seed=0, size=96)


def decoded(dataset: Dataset) -> np.ndarray:
    return read_pixels(read_header(as_bytes(dataset)))[0]


def ramp(photometric="MONOCHROME2", bits=12, signed=False, **elements) -> Dataset:
    """64 rows that each run through stored values from the lowest to the highest."""
    dataset = phantom_dataset(EXPLICIT, seed=0, size=96)
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    pixels = np.tile(np.linspace(low, high, 256).round(), (64, 1)).astype("<i2" if signed else "<u2")
    del dataset.WindowCenter, dataset.WindowWidth, dataset.PresentationLUTShape
    dataset.Rows, dataset.Columns, dataset.PixelData = *pixels.shape, pixels.tobytes()
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits - 1, int(signed)
    dataset.PhotometricInterpretation = photometric
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def shown(dataset: Dataset) -> np.ndarray:
    """What the ramp becomes, 0 to 1, `[256]`."""
    return decoded(dataset)[0] / 65535


def lut(first: int, data: list[int], bits: int = 16) -> list[Dataset]:
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [len(data), first, bits], data
    item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "US"
    return [item]


@pytest.mark.parametrize("syntax", ["ImplicitVRLittleEndian", "DeflatedExplicitVRLittleEndian", "RLELossless",
                                    "JPEGLSLossless", "JPEG2000Lossless"])
def test_every_lossless_syntax_gives_the_same_pixels(phantom, syntax):
    expected = decoded(phantom)
    syntax = getattr(uid, syntax)
    if syntax.is_compressed and not syntax.is_deflated:
        phantom.compress(syntax, generate_instance_uid=False)
    phantom.file_meta.TransferSyntaxUID = syntax
    np.testing.assert_array_equal(decoded(phantom), expected)


@pytest.mark.parametrize(
    ("syntax", "bits", "signed"),
    [
        ("RLELossless", 9, False), ("RLELossless", 10, True), ("RLELossless", 16, False), ("RLELossless", 16, True),
        ("JPEGLSLossless", 9, False), ("JPEGLSLossless", 16, False),          # the encoder takes no signed pixels
        ("JPEG2000Lossless", 9, False), ("JPEG2000Lossless", 10, True), ("JPEG2000Lossless", 16, False),
        ("JPEG2000Lossless", 16, True),
    ],
)  # fmt: skip
def test_compressed_pixels_of_any_bits_and_sign_come_back(syntax, bits, signed):
    dataset = ramp(bits=bits, signed=signed)
    expected = decoded(dataset)
    dataset.compress(getattr(uid, syntax), generate_instance_uid=False)
    np.testing.assert_array_equal(decoded(dataset), expected)


def test_big_endian_gives_the_same_pixels(phantom):
    expected = decoded(phantom)
    phantom.PixelData = np.frombuffer(phantom.PixelData, "<u2").astype(">u2").tobytes()
    phantom.file_meta.TransferSyntaxUID = uid.ExplicitVRBigEndian
    np.testing.assert_array_equal(decoded(phantom), expected)


@pytest.mark.parametrize("process", ["JPEGLosslessProcess14", "JPEGLosslessProcess14_1"])
def test_jpeg_lossless_gives_the_same_pixels(phantom, process, tmp_path):
    import gdcm

    phantom.save_as(tmp_path / "plain.dcm", enforce_file_format=True)
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(tmp_path / "plain.dcm"))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, process)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(tmp_path / "lossless.dcm"))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    radiograph = read_radiograph(tmp_path / "lossless.dcm")
    assert radiograph.facts["transfer_syntax"].startswith("JPEG Lossless")
    np.testing.assert_array_equal(radiograph.pixels, decoded(phantom))


@pytest.mark.parametrize("syntax", ["HTJ2KLossless", "HTJ2KLosslessRPCL", "HTJ2K"])
def test_high_throughput_jpeg_2000_gives_the_same_pixels(phantom, syntax):
    with np.load(ROOT / "tests/data/htj2k_12bit.npz") as file:
        pixels, stream = file["pixels"], file["stream"].tobytes()
    phantom.Rows, phantom.Columns, phantom.PixelData = *pixels.shape, pixels.astype("<u2").tobytes()
    expected = decoded(phantom)
    phantom.PixelData = encapsulate([stream])
    phantom.file_meta.TransferSyntaxUID = getattr(uid, syntax)
    np.testing.assert_array_equal(decoded(phantom), expected)


def test_jpeg_extended_at_12_bit_comes_within_its_loss(phantom):
    with np.load(ROOT / "tests/data/jpeg_extended_12bit.npz") as file:
        pixels, stream = file["pixels"], file["stream"].tobytes()
    phantom.Rows, phantom.Columns, phantom.PixelData = *pixels.shape, pixels.astype("<u2").tobytes()
    expected = decoded(phantom).astype(int)
    phantom.PixelData = encapsulate([stream])
    phantom.file_meta.TransferSyntaxUID = uid.JPEGExtended12Bit
    assert np.abs(decoded(phantom) - expected).max() <= 8 / 4095 * 65535 * 1.5  # the encoder's loss is 8 gray values


def test_without_its_decoder_jpeg_extended_names_the_extra(phantom, monkeypatch):
    with np.load(ROOT / "tests/data/jpeg_extended_12bit.npz") as file:
        (phantom.Rows, phantom.Columns), stream = file["pixels"].shape, file["stream"].tobytes()
    phantom.PixelData = encapsulate([stream])
    phantom.file_meta.TransferSyntaxUID = uid.JPEGExtended12Bit
    monkeypatch.setattr("sapggan_lib.dicom.read.find_spec", lambda name: None)
    monkeypatch.setattr(Dataset, "pixel_array", property(lambda self: 1 / 0))
    with pytest.raises(SapgganError, match="pip install 'sapggan\\[jpeg12\\]'"):
        decoded(phantom)


@pytest.mark.parametrize(("quality", "tolerance"), [("JPEGLSNearLossless", 0.002), ("JPEG2000", 0.05)])
def test_lossy_syntaxes_come_close(phantom, quality, tolerance):
    expected = decoded(phantom) / 65535
    options = {"jls_error": 2} if quality == "JPEGLSNearLossless" else {"j2k_cr": [10]}
    phantom.compress(getattr(uid, quality), generate_instance_uid=False, **options)
    assert np.abs(decoded(phantom) / 65535 - expected).mean() < tolerance


@pytest.mark.parametrize(
    ("elements", "inverted"),
    [
        ({"photometric": "MONOCHROME1"}, True),
        ({"photometric": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, True),      # not twice
        ({"photometric": "MONOCHROME1", "PresentationLUTShape": "IDENTITY"}, True),     # 3,012 of OpenI's files
        ({"PresentationLUTShape": "INVERSE"}, True),
        ({"PresentationLUTShape": "IDENTITY"}, False),
        ({}, False),
    ],
)
def test_pixels_are_inverted_once_where_the_header_says_so(elements, inverted):
    line = shown(ramp(**elements))
    assert (line[0] > 0.99 and line[-1] < 0.01) if inverted else (line[0] < 0.01 and line[-1] > 0.99)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12, 15, 16])
def test_any_number_of_bits_and_sign_spans_black_to_white(bits, signed):
    line = shown(ramp(bits=bits, signed=signed))
    assert line[0] == 0 and line[-1] == 1 and (np.diff(line) >= 0).all()


def test_bits_above_the_stored_ones_are_an_overlay_and_ignored():
    plain, with_overlay = ramp(), ramp()
    pixels = np.frombuffer(plain.PixelData, "<u2").copy()
    pixels[::3] |= 0x8000
    with_overlay.PixelData = pixels.tobytes()
    with pytest.raises(SapgganError, match="pixel values do not fit in 12 unsigned bits"):
        decoded(with_overlay)
    with_overlay.add_new((0x6000, 0x0010), "US", 64)
    np.testing.assert_array_equal(decoded(with_overlay), decoded(plain))


STORED = np.linspace(0, 4095, 256).round()


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"WindowCenter": 2048, "WindowWidth": 2049}, np.clip((STORED - 2047.5) / 2048 + 0.5, 0, 1)),
        ({"WindowCenter": [2048, 100], "WindowWidth": [2049, 5]}, np.clip((STORED - 2047.5) / 2048 + 0.5, 0, 1)),
        ({"WindowCenter": [9e6, 2048], "WindowWidth": [10, 2049]}, np.clip((STORED - 2047.5) / 2048 + 0.5, 0, 1)),
        ({"WindowCenter": 2048, "WindowWidth": 2000, "VOILUTFunction": "LINEAR_EXACT"},
         np.clip((STORED - 2048) / 2000 + 0.5, 0, 1)),
        ({"WindowCenter": 2048, "WindowWidth": 2000, "VOILUTFunction": "SIGMOID"},
         1 / (1 + np.exp(-4 * (STORED - 2048) / 2000))),
        ({"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": 3096, "WindowWidth": 4097},
         np.clip((2 * STORED - 1000 - 3095.5) / 4096 + 0.5, 0, 1)),
        ({"VOILUTSequence": lut(1000, list(range(0, 65536, 64)))},
         np.clip(STORED - 1000, 0, 1023) * 64 / 65535),
        ({"ModalityLUTSequence": lut(0, list(range(4095, -1, -1))), "WindowCenter": 2048, "WindowWidth": 4096},
         np.clip((4095 - STORED - 2047.5) / 4095 + 0.5, 0, 1)),
    ],
)
def test_windows_and_lookup_tables_follow_the_standard(elements, expected):
    np.testing.assert_allclose(shown(ramp(**elements)), expected, atol=1e-4)


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"WindowCenter": 30000, "WindowWidth": 100},                 # beside all pixels
        {"WindowCenter": 2048, "WindowWidth": 0},
        {"WindowCenter": 2048, "WindowWidth": 10_000_000},           # all pixels one gray
    ],
)
def test_a_wrong_or_absent_window_gives_way_to_percentiles(elements):
    pixels, notes = read_pixels(read_header(as_bytes(ramp(**elements))))
    assert pixels.min() == 0 and pixels.max() == 65535
    assert notes == ["window replaced by percentiles" if elements else "no window"]


def test_padding_is_black_and_does_not_count_for_the_percentiles():
    dataset = ramp(photometric="MONOCHROME1", PixelPaddingValue=4095)
    dataset["PixelPaddingValue"].VR = "US"
    pixels = np.frombuffer(dataset.PixelData, "<u2").reshape(64, 256).copy()
    pixels[pixels > 2000] = 2000
    pixels[:, 200:] = 4095
    dataset.PixelData = pixels.tobytes()
    line = shown(dataset)
    assert line[0] > 0.98 and line[199] < 0.01 and (line[200:] == 0).all()


@pytest.mark.parametrize("element", ["PixelSpacing", "PixelAspectRatio"])
def test_pixels_that_are_not_square_are_made_so(element):
    dataset = ramp()
    del dataset.PixelSpacing, dataset.ImagerPixelSpacing
    setattr(dataset, element, [2, 1])
    pixels, notes = read_pixels(read_header(as_bytes(dataset)))
    assert pixels.shape == (128, 256) and "pixels made square" in notes


def test_burned_in_annotation_is_noted():
    _, notes = read_pixels(read_header(as_bytes(ramp(BurnedInAnnotation="YES", WindowCenter=2048, WindowWidth=4096))))
    assert notes == ["burned-in annotation"]


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"Rows": 60000, "Columns": 60000}, "60,000 x 60,000 pixels are more than a radiograph has"),
        ({"Rows": 65}, r"bytes of pixels where 65 x 256 need"),
        ({"Rows": 63}, r"bytes of pixels where 63 x 256 need"),
        ({"NumberOfFrames": 12}, "12 frames: not a single radiograph"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "a colour image"),
        ({"BitsAllocated": 32}, "12 bits stored in 32"),
        ({"BitsStored": 17}, "17 bits stored in 16"),
        ({"Rows": None}, "Rows, Columns, BitsAllocated or BitsStored is missing"),
    ],
)
def test_what_cannot_be_one_radiograph_is_refused_with_the_reason(elements, message):
    dataset = ramp()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    with pytest.raises(SapgganError, match=message):
        decoded(dataset)


@pytest.mark.parametrize("syntax", ["ExplicitVRLittleEndian", "RLELossless", "JPEG2000Lossless", "JPEGLSLossless"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.995])
def test_a_truncated_file_never_becomes_an_image(syntax, share):
    data = as_bytes(phantom_dataset(Shot("", 1, 1, "PA", 12, "MONOCHROME2", True, syntax), 0, 96))
    with pytest.raises(SapgganError):
        read_pixels(read_header(data[: int(len(data) * share)]))


def test_a_stream_larger_than_the_header_says_is_refused_before_it_is_decoded(phantom):
    phantom.compress(uid.JPEG2000Lossless, generate_instance_uid=False)
    stream = bytearray(next(generate_frames(phantom.PixelData, number_of_frames=1)))
    stream[8:16] = (50_000).to_bytes(4, "big") * 2
    phantom.PixelData = encapsulate([bytes(stream)])
    assert codestream_size(bytes(stream)) == (50_000, 50_000)
    with pytest.raises(SapgganError, match="compressed pixels say 50000 x 50000 where the header says 96"):
        decoded(phantom)


@pytest.mark.parametrize("form", ["plain", "long", "implicit", "no length", "no preamble"])
def test_a_deflated_bomb_is_refused_before_memory_is_taken(phantom, form):
    """Wherever its header says that it is deflated."""
    syntax = uid.DeflatedExplicitVRLittleEndian.encode()
    meta = b"\x02\x00\x10\x00UI" + len(syntax).to_bytes(2, "little") + syntax
    if form == "long":
        meta = b"\x02\x00\x02\x01OB\0\0" + (5000).to_bytes(4, "little") + bytes(5000) + meta
    if form == "implicit":
        meta = b"\x02\x00\x10\x00" + len(syntax).to_bytes(4, "little") + syntax
    if form == "plain":
        meta = b"\x02\x00\x00\x00UL\x04\x00" + len(meta).to_bytes(4, "little") + meta
    preamble = b"" if form == "no preamble" else bytes(128) + b"DICM"
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(1 << 24)
    bomb = preamble + meta + b"".join(packer.compress(zeros) for _ in range(20)) + packer.flush()
    tracemalloc.start()
    with pytest.raises(SapgganError, match="inflates to more bytes"):
        read_header(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6


@pytest.mark.parametrize("data", [b"", b"\n", b"just a text\n" * 40, bytes(200), b"\x08\x00" * 100])
def test_what_is_no_dicom_says_so(data):
    with pytest.raises(SapgganError, match="DICOM"):
        read_header(data)


def test_a_file_without_preamble_is_read(phantom):
    phantom.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian
    expected = decoded(phantom)
    stream = io.BytesIO()
    plain = Dataset(dict(phantom.items()))
    plain.save_as(stream, implicit_vr=True, little_endian=True)
    np.testing.assert_array_equal(read_pixels(read_header(stream.getvalue()))[0], expected)


def test_facts_are_terms_of_dicom_whatever_free_text_stands_in_their_place(phantom):
    phantom.Modality, phantom.BodyPartExamined, phantom.PhotometricInterpretation = "DX", "LOWER_LEG", "MONOCHROME2"
    facts = header_facts(phantom)
    assert (facts["modality"], facts["body_part"], facts["photometric"]) == ("DX", "LOWERLEG", "MONOCHROME2")
    phantom.Modality, phantom.BodyPartExamined = "DX FISCHER", "CHEST DR BECKER"
    phantom.PhotometricInterpretation = "FISCHER K 1961"
    facts = header_facts(phantom)
    assert (facts["modality"], facts["body_part"], facts["photometric"]) == ("other", "other", "other")
    del phantom.Modality, phantom.BodyPartExamined, phantom.PhotometricInterpretation
    assert header_facts(phantom)["modality"] == header_facts(phantom)["body_part"] == ""


def test_a_decoders_message_stays_out_of_ours(phantom, monkeypatch):
    """It may quote the header."""
    def fail(*_):
        raise ValueError("bad value of PatientName: Doe^Jane")

    monkeypatch.setattr(Dataset, "pixel_array", property(fail))
    with pytest.raises(SapgganError, match=r"^pixels cannot be decoded \(ValueError\)$"):
        read_pixels(phantom)


@pytest.mark.parametrize("shape", [(2, 33, 33), (2, 32, 32, 3)])
def test_generated_images_come_back_from_secondary_capture_and_say_that_they_are_synthetic(tmp_path, shape):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    first, again = write_secondary_capture(images, tmp_path / "a"), write_secondary_capture(images, tmp_path / "b")
    for path, image in zip(first, images, strict=True):
        dataset = pydicom.dcmread(path)
        np.testing.assert_array_equal(dataset.pixel_array, image)
        assert dataset.SyntheticData == "YES" and dataset.ConversionType == "SYN"
        assert "SYNTHETIC" in str(dataset.PatientName) and dataset.SOPClassUID == uid.SecondaryCaptureImageStorage
    uids = {pydicom.dcmread(path).SOPInstanceUID for path in first + again}
    assert len(uids) == 4
