"""Ends with 0 if an address of this container answers with a success.

python -I healthcheck.py http://127.0.0.1:8000/health/ready
"""

import sys
import urllib.request

PATIENCE = 5.0  # seconds

# Proxies of the environment have no business on the loopback.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    opener.open(sys.argv[1], timeout=PATIENCE).close()  # an error status raises
except OSError as error:
    sys.exit(f"{sys.argv[1]}: {error}")
