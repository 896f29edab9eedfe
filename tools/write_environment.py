"""Write environment.yml from pyproject.toml, so that the conda route installs the same packages.

python tools/write_environment.py
"""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def environment_text() -> str:
    """The text that environment.yml must have."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    packages = project["dependencies"] + project["optional-dependencies"]["test"]
    lines = [
        "# conda env create -f environment.yml && conda activate sapggan",
        "# Written by tools/write_environment.py from pyproject.toml; exact versions are in requirements.lock.",
        f"name: {project['name']}",
        "channels: [conda-forge]",
        "dependencies:",
        f"  - python{project['requires-python']}",
        "  - pip",
        "  - pip:",
        *(f"      - {package}" for package in packages),
        "      - --editable .",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (ROOT / "environment.yml").write_text(environment_text())
