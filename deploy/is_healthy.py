"""Exit status 0 when a health URL answers 200: the image has no curl."""

import sys
import urllib.request

with urllib.request.urlopen(sys.argv[1], timeout=8) as answer:  # noqa: S310 - our own address
    sys.exit(answer.status != 200)
