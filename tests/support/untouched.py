"""What was refused wrote nothing, not even what was taken back, but that somebody tried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from control_plane.access.denials import DENIED
from control_plane.audit.models import AuditEvent

BESIDE = ("audit_auditevent", "django_session")
"""The attempt itself, and a browser's session: who asks leaves these."""

# That a token was used is noted on it.
_WRITES = """
SELECT relname,
       pg_stat_get_xact_tuples_inserted(oid) + pg_stat_get_xact_tuples_deleted(oid)
       + CASE relname WHEN 'access_apitoken' THEN 0 ELSE pg_stat_get_xact_tuples_updated(oid) END
FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> ALL(%s)
"""


def writes() -> Counter[str]:
    """Rows that this transaction has written so far, by table; those of savepoints that were left
    count as well."""
    with connection.cursor() as cursor:
        cursor.execute(_WRITES, [list(BESIDE)])
        return Counter({name: rows for name, rows in cursor.fetchall() if rows})


@contextmanager
def refused(*, by: str = "") -> Iterator[None]:
    """Holds that meanwhile nothing is written but one refusal, `by` this person.

    Args:
        by: "" where not even that is kept.
    """
    before, last = writes(), AuditEvent.objects.order_by("-id").values_list("id", flat=True).first()
    yield
    assert writes() - before == Counter()
    told = AuditEvent.objects.filter(id__gt=last or 0).values_list("actor", "action")
    assert list(told) == ([(by, DENIED)] if by else [])
