import django.core.validators
import django.db.models.deletion
import uuid
from django.db import migrations, models

# A revision never changes: what serves is pinned to it. A model and a pipeline give physical names
# of one form, so a name is one's or the other's; the lock lets no two transactions miss each other.
FORWARD = """
CREATE FUNCTION pipeline_revision_is_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a revision of a pipeline is never changed: make a new one';
END $$;
CREATE TRIGGER pipeline_revision_immutable BEFORE UPDATE ON registry_pipelinerevision
    FOR EACH ROW EXECUTE FUNCTION pipeline_revision_is_immutable();
CREATE TRIGGER pipeline_step_immutable BEFORE UPDATE ON registry_pipelinestep
    FOR EACH ROW EXECUTE FUNCTION pipeline_revision_is_immutable();

CREATE FUNCTION models_and_pipelines_share_names() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('physical names ' || NEW.name, 0));
    IF (TG_TABLE_NAME = 'registry_pipeline'
        AND EXISTS (SELECT 1 FROM registry_model WHERE name = NEW.name))
       OR (TG_TABLE_NAME = 'registry_model'
           AND EXISTS (SELECT 1 FROM registry_pipeline WHERE name = NEW.name))
    THEN
        RAISE EXCEPTION 'a model or a pipeline has the name %', NEW.name
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'physical_names_are_one_namespace';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER model_name_no_pipelines BEFORE INSERT OR UPDATE OF name ON registry_model
    FOR EACH ROW EXECUTE FUNCTION models_and_pipelines_share_names();
CREATE TRIGGER pipeline_name_no_models BEFORE INSERT OR UPDATE OF name ON registry_pipeline
    FOR EACH ROW EXECUTE FUNCTION models_and_pipelines_share_names();
"""

BACKWARD = """
DROP TRIGGER pipeline_name_no_models ON registry_pipeline;
DROP TRIGGER model_name_no_pipelines ON registry_model;
DROP FUNCTION models_and_pipelines_share_names();
DROP TRIGGER pipeline_step_immutable ON registry_pipelinestep;
DROP TRIGGER pipeline_revision_immutable ON registry_pipelinerevision;
DROP FUNCTION pipeline_revision_is_immutable();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('registry', '0016_model_config'),
    ]

    operations = [
        migrations.CreateModel(
            name='Pipeline',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=63, unique=True, validators=[django.core.validators.RegexValidator('\\A[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?\\Z', "1 to 63 characters: lower-case letters, digits, '-' and '_', beginning and ending with a letter or digit")])),
                ('newest', models.PositiveIntegerField(help_text='the number of its newest revision')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('created_by', models.CharField(max_length=150)),
            ],
            options={
                'ordering': ('name',),
                'constraints': [models.CheckConstraint(condition=models.Q(('name__regex', '^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$')), name='pipeline_name_is_public')],
            },
        ),
        migrations.CreateModel(
            name='PipelineRevision',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField()),
                ('document', models.JSONField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('created_by', models.CharField(max_length=150)),
                ('pipeline', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='revisions', to='registry.pipeline')),
            ],
            options={
                'ordering': ('pipeline__name', '-number'),
            },
        ),
        migrations.CreateModel(
            name='PipelineStep',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField()),
                ('name', models.CharField(max_length=63)),
                ('inner', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='outer_steps', to='registry.pipelinerevision')),
                ('revision', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='steps', to='registry.pipelinerevision')),
                ('version', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='pipeline_steps', to='registry.modelversion')),
            ],
            options={
                'ordering': ('revision', 'position'),
            },
        ),
        migrations.AddConstraint(
            model_name='pipelinerevision',
            constraint=models.UniqueConstraint(fields=('pipeline', 'number'), name='pipeline_revision_once'),
        ),
        migrations.AddConstraint(
            model_name='pipelinerevision',
            constraint=models.CheckConstraint(condition=models.Q(('number__gte', 1), ('number__lt', 1000000000)), name='pipeline_revision_in_range'),
        ),
        migrations.AddConstraint(
            model_name='pipelinestep',
            constraint=models.UniqueConstraint(fields=('revision', 'name'), name='step_name_once'),
        ),
        migrations.AddConstraint(
            model_name='pipelinestep',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('inner__isnull', True), ('version__isnull', False)), models.Q(('inner__isnull', False), ('version__isnull', True)), _connector='OR'), name='step_runs_one_thing'),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
