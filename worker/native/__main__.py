"""`python -m worker.native`: compiles the codecs in C."""

from worker.native.build import main

main()
