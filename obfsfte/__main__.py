"""`python -m obfsfte` is the `obfsfte` command."""

import sys

from obfsfte.cli import main

sys.exit(main())
