"""`python -m preheat`."""

import sys

from preheat.cli.main import main

sys.exit(main())
