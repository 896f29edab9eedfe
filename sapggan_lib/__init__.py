"""Self Attention PGGAN for 512x512 chest radiographs: from DICOM to the paper's tables and figures."""

import os
import sys

__version__ = "0.1.0"

if "torch" not in sys.modules and not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
    # torch's threads spin while they wait for each other, by default so long that beside one other busy process a
    # training takes ten times as long; a short spin costs little on a quiet machine, and none is best on a busy one
    busy = hasattr(os, "getloadavg") and os.getloadavg()[0] > (os.cpu_count() or 1)
    os.environ |= {"OMP_WAIT_POLICY": "PASSIVE"} if busy else {"GOMP_SPINCOUNT": "1000"}
