from django.db import migrations

# What a template said and what a look found is evidence: neither is ever changed.
FORWARD = """
CREATE FUNCTION analysis_keeps_evidence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a revision of a template, and a look, are never changed: make a new one';
END $$;
CREATE TRIGGER template_revision_immutable BEFORE UPDATE ON analysis_analysistemplaterevision
    FOR EACH ROW EXECUTE FUNCTION analysis_keeps_evidence();
CREATE TRIGGER look_immutable BEFORE UPDATE ON analysis_analysislook
    FOR EACH ROW EXECUTE FUNCTION analysis_keeps_evidence();
"""

BACKWARD = """
DROP TRIGGER template_revision_immutable ON analysis_analysistemplaterevision;
DROP TRIGGER look_immutable ON analysis_analysislook;
DROP FUNCTION analysis_keeps_evidence();
"""


class Migration(migrations.Migration):

    dependencies = [('analysis', '0001_initial')]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
