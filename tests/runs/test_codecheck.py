"""codecheck.yml, as https://codecheck.org.uk/spec/config/1.0/ wants it of an author."""

import shutil

import pytest
import yaml

from sapggan_lib.notebook import RUNS
from sapggan_lib.runs.report import SPECIFICATION, write_codecheck


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The committed run, with its codecheck.yml made anew."""
    folder = tmp_path_factory.mktemp("bundle") / "run"
    shutil.copytree(RUNS / "reference", folder, ignore=shutil.ignore_patterns("work", "logs", ".*"))
    write_codecheck(folder)
    return folder


def test_it_is_an_explicit_document_of_the_version_that_it_names(bundle):
    text = (bundle / "codecheck.yml").read_text(encoding="utf-8")
    assert text.startswith("%YAML 1.1\n---\n") and yaml.safe_load(text)["version"] == SPECIFICATION


def test_the_manifest_has_each_figure_and_result_by_a_relative_path_and_its_notebooks_title(bundle):
    manifest = yaml.safe_load((bundle / "codecheck.yml").read_text(encoding="utf-8"))["manifest"]
    files = [item["file"] for item in manifest]
    assert len(files) == len(set(files)) and all((bundle / file).is_file() for file in files)
    made = [*(bundle / "figures").glob("*.png"), *(bundle / "results").iterdir()]  # a PDF is its PNG's other form
    assert {path.relative_to(bundle).as_posix() for path in made} == set(files)
    assert all(item["comment"].endswith(f"({item['file'].partition('/')[2][3:]})") for item in manifest)
    assert manifest[0]["comment"].startswith("Self Attention PGGAN")


def test_it_names_the_paper_and_leaves_to_the_codechecker_what_is_the_codecheckers(bundle):
    content = yaml.safe_load((bundle / "codecheck.yml").read_text(encoding="utf-8"))
    assert content["paper"]["authors"][0] == {"name": "Jae-Yeong Ko"} and "GAN-based" in content["paper"]["title"]
    assert content.keys() == {"version", "manifest", "paper", "sapggan"}
    assert content["sapggan"]["git"].keys() == {"commit", "dirty"}
