import uuid

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

# What a revision says never changes: what was compiled with it can be compiled again.
FORWARD = """
CREATE FUNCTION profile_revision_is_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a revision of a serving profile is never changed: make a new one';
END $$;
CREATE TRIGGER profile_revision_immutable BEFORE UPDATE ON registry_profilerevision
    FOR EACH ROW EXECUTE FUNCTION profile_revision_is_immutable();
"""

BACKWARD = """
DROP TRIGGER profile_revision_immutable ON registry_profilerevision;
DROP FUNCTION profile_revision_is_immutable();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('registry', '0012_parameters'),
    ]

    operations = [
        migrations.CreateModel(
            name='Profile',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=63, unique=True, validators=[django.core.validators.RegexValidator('\\A[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?\\Z', "1 to 63 characters: lower-case letters, digits, '-' and '_', beginning and ending with a letter or digit")])),
                ('newest', models.PositiveIntegerField(help_text='the number of its newest revision')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('created_by', models.CharField(max_length=150)),
            ],
            options={
                'ordering': ('name',),
            },
        ),
        migrations.CreateModel(
            name='ProfileRevision',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField()),
                ('document', models.JSONField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('created_by', models.CharField(max_length=150)),
                ('profile', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='revisions', to='registry.profile')),
            ],
            options={
                'ordering': ('profile__name', '-number'),
            },
        ),
        migrations.AddConstraint(
            model_name='profile',
            constraint=models.CheckConstraint(condition=models.Q(('name__regex', '^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$')), name='profile_name_is_public'),
        ),
        migrations.AddConstraint(
            model_name='profilerevision',
            constraint=models.UniqueConstraint(fields=('profile', 'number'), name='profile_revision_once'),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
