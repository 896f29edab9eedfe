"""`python -m sapggan_lib.runs`: one notebook, in a process of its own."""

import sys

from sapggan_lib.runs.execution import main

sys.exit(main())
