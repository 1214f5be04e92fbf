from django.db import migrations

# The services decide it in words; this holds it whoever writes.
HOLD = """
CREATE FUNCTION endpoints_keep_change() RETURNS trigger AS $$
BEGIN
  IF (NEW.endpoint_id, NEW.number, NEW.generation, NEW.policy, NEW.digest, NEW.effect, NEW.reason,
      NEW.asked_by, NEW.created_at)
     IS DISTINCT FROM
     (OLD.endpoint_id, OLD.number, OLD.generation, OLD.policy, OLD.digest, OLD.effect, OLD.reason,
      OLD.asked_by, OLD.created_at)
     OR (NEW.author_id IS NOT NULL AND NEW.author_id IS DISTINCT FROM OLD.author_id)
  THEN
    RAISE EXCEPTION 'what was asked for does not change'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'change_stays_as_asked';
  END IF;
  IF OLD.state <> 'pending' AND (
     (NEW.state, NEW.decided_by, NEW.decided_at, NEW.decided_reason, NEW.revision_id)
     IS DISTINCT FROM
     (OLD.state, OLD.decided_by, OLD.decided_at, OLD.decided_reason, OLD.revision_id)
     OR (NEW.decider_id IS NOT NULL AND NEW.decider_id IS DISTINCT FROM OLD.decider_id))
  THEN
    RAISE EXCEPTION 'what was decided stays so'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'change_decided_once';
  END IF;
  RETURN NEW;
END
$$ LANGUAGE plpgsql;

CREATE TRIGGER change_stays BEFORE UPDATE ON endpoints_changerequest
FOR EACH ROW EXECUTE FUNCTION endpoints_keep_change();

-- New traffic of an endpoint with the rule names its second person. Ways out do not: a kill is
-- urgent, a rollback says where it goes back to; and the same policy once more is nothing new.
CREATE FUNCTION endpoints_ask_second_person() RETURNS trigger AS $$
BEGIN
  IF (SELECT endpoint.four_eyes FROM endpoints_endpoint endpoint WHERE endpoint.id = NEW.endpoint_id)
     AND NEW.policy IS DISTINCT FROM (
       SELECT revision.policy FROM endpoints_revision revision
       WHERE revision.endpoint_id = NEW.endpoint_id ORDER BY revision.number DESC LIMIT 1)
  THEN
    RAISE EXCEPTION 'the endpoint has the four-eyes rule: a second person approves its traffic'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'revision_has_second_person';
  END IF;
  RETURN NEW;
END
$$ LANGUAGE plpgsql;

CREATE TRIGGER revision_has_second_person BEFORE INSERT ON endpoints_revision
FOR EACH ROW WHEN (NEW.approved_by IN ('', NEW.created_by) AND NEW.restores IS NULL
                   AND NEW.plan IS NOT NULL
                   AND NOT COALESCE((NEW.plan->>'urgent')::boolean, false))
EXECUTE FUNCTION endpoints_ask_second_person();
"""

RELEASE = """
DROP TRIGGER revision_has_second_person ON endpoints_revision;
DROP FUNCTION endpoints_ask_second_person();
DROP TRIGGER change_stays ON endpoints_changerequest;
DROP FUNCTION endpoints_keep_change();
"""


class Migration(migrations.Migration):

    dependencies = [('endpoints', '0009_four_eyes')]

    operations = [migrations.RunSQL(HOLD, RELEASE)]
