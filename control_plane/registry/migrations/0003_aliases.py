import uuid

import django.db.models.deletion
from django.db import migrations, models

# An alias names a version of its own model: both columns refer to one row.
OWN_VERSION = """
ALTER TABLE registry_alias ADD CONSTRAINT alias_of_own_version
FOREIGN KEY (version_id, model_id) REFERENCES registry_modelversion (id, model_id)
DEFERRABLE INITIALLY DEFERRED
"""


class Migration(migrations.Migration):

    dependencies = [
        ('registry', '0002_validation_claims'),
    ]

    operations = [
        migrations.CreateModel(
            name='Alias',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=255)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('updated_by', models.CharField(max_length=150)),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='aliases', to='registry.model')),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='aliases', to='registry.modelversion')),
            ],
            options={
                'verbose_name_plural': 'aliases',
                'ordering': ('name',),
            },
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.UniqueConstraint(fields=('id', 'model'), name='version_of_its_model'),
        ),
        migrations.AddConstraint(
            model_name='alias',
            constraint=models.UniqueConstraint(fields=('model', 'name'), name='alias_once_in_model'),
        ),
        migrations.AddConstraint(
            model_name='alias',
            constraint=models.CheckConstraint(condition=models.Q(('name__regex', '^[A-Za-z0-9_-]+$'), models.Q(('name__iregex', '^(latest|v[0-9]+)$'), _negated=True)), name='alias_follows_the_rule'),
        ),
        migrations.RunSQL(OWN_VERSION, 'ALTER TABLE registry_alias DROP CONSTRAINT alias_of_own_version'),
    ]
