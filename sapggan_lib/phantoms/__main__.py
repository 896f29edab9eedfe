"""`python -m sapggan_lib.phantoms`: one process's part of a folder of phantoms."""

import json
import sys
from pathlib import Path

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.phantoms.files import write_part

try:
    write_part(Path(sys.argv[1]), *json.loads(sys.argv[2]))
except SapgganError as error:
    sys.exit(str(error))
