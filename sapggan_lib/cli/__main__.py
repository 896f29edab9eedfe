"""`python -m sapggan_lib.cli`: the command where its script is not on the path."""

import sys

from sapggan_lib.cli import main

sys.exit(main())
