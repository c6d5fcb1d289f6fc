import sys

from ogagent.cli import main

sys.exit(main())
