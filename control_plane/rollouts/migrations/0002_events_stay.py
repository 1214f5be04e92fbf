from django.db import migrations

# What happened to a rollout is what people will ask about: it stays as it was written.
FORWARD = """
CREATE FUNCTION rollouts_keep_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what happened to a rollout stays as it was written';
END $$;
CREATE TRIGGER rollout_event_immutable BEFORE UPDATE ON rollouts_rolloutevent
    FOR EACH ROW EXECUTE FUNCTION rollouts_keep_events();
"""

BACKWARD = """
DROP TRIGGER rollout_event_immutable ON rollouts_rolloutevent;
DROP FUNCTION rollouts_keep_events();
"""


class Migration(migrations.Migration):

    dependencies = [('rollouts', '0001_initial')]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
