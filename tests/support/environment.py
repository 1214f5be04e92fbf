"""A pytest plugin (`-p tests.support.environment`): the environment Django's settings need.

Loaded before pytest-django reads the settings. The database is started by the fixture that
first needs it, so unit tests start nothing.
"""

import os
import tempfile
from pathlib import Path

HOME = Path(tempfile.mkdtemp(prefix="nereid-tests-"))

# Never a person's stack: the tests have a home, keys and a database of their own.
for name in [name for name in os.environ if name.startswith("NEREID_")]:
    if name not in ("NEREID_CXX",):
        del os.environ[name]
os.environ["NEREID_HOME"] = str(HOME)
os.environ["NEREID_SECRET_KEY"] = "only-for-tests"
os.environ["NEREID_TRITON_CONTROL_KEY"] = "only-for-tests"
for limit in ("CALLERS", "ANONYMOUS", "GUESSES", "LOGINS", "WRITES"):  # its own tests put them back
    os.environ[f"NEREID_THROTTLE_{limit}"] = "off"
os.environ["DATABASE_URL"] = "postgresql://postgres@/nereid"
os.environ.pop("CELERY_BROKER_URL", None)
