"""`python -m bflmec`"""

from bflmec.cli import main

main()
