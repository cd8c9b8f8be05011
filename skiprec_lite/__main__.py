"""Entry point of python -m skiprec_lite."""

import sys

from skiprec_lite.cli import main

sys.exit(main())
