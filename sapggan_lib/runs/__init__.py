"""Notebooks headlessly: which, with what, resumed, reported, and checked against a reference run."""

import sys

from sapggan_lib.runs.comparison import check, require_reference
from sapggan_lib.runs.folder import run_folder
from sapggan_lib.runs.jobs import plan
from sapggan_lib.runs.numbers import check_text
from sapggan_lib.runs.runner import run
from sapggan_lib.runs.workshop import write_workshop

# jsonschema, below nbformat, builds a grammar of web addresses at its import: 3 s a process, for what no notebook holds
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
