from django.db import migrations

# The registry refuses it with the places in words; this holds it whoever writes.
PROTECT = """
CREATE FUNCTION endpoints_refuse_archiving() RETURNS trigger AS $$
BEGIN
  IF EXISTS (
    SELECT 1
    FROM endpoints_revisionversion used
    JOIN endpoints_revision revision ON revision.id = used.revision_id
    JOIN endpoints_endpoint endpoint ON endpoint.id = revision.endpoint_id
    WHERE used.version_id = NEW.id
      AND (revision.generation = endpoint.generation
           OR revision.number = (SELECT max(served.number) FROM endpoints_revision served
                                 WHERE served.endpoint_id = endpoint.id
                                   AND served.served_from IS NOT NULL)
           OR EXISTS (SELECT 1 FROM endpoints_placement placement
                      WHERE placement.endpoint_id = endpoint.id
                        AND placement.switched = revision.generation))
  ) THEN
    RAISE EXCEPTION 'a version that serves is not archived'
      USING ERRCODE = 'restrict_violation', CONSTRAINT = 'version_that_serves_stays';
  END IF;
  RETURN NEW;
END
$$ LANGUAGE plpgsql;

CREATE TRIGGER version_that_serves_stays BEFORE UPDATE OF state ON registry_modelversion
FOR EACH ROW WHEN (NEW.state = 'archived' AND OLD.state <> 'archived')
EXECUTE FUNCTION endpoints_refuse_archiving();
"""

RELEASE = """
DROP TRIGGER version_that_serves_stays ON registry_modelversion;
DROP FUNCTION endpoints_refuse_archiving();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('endpoints', '0003_unready_switches'),
        ('registry', '0005_states_and_words'),
    ]

    operations = [migrations.RunSQL(PROTECT, RELEASE)]
