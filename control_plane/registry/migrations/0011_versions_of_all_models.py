"""Versions are asked for across models: the newest, somebody's, those with a tag."""

import django.contrib.postgres.indexes
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0010_sources")]

    operations = [
        migrations.AlterModelOptions(
            name="modelversion",
            options={
                "ordering": ("model__name", "-number"),
                "permissions": (("publish_code", "Can publish versions that carry code"),),
                "verbose_name": "version",
            },
        ),
        migrations.AddIndex(
            model_name="modelversion",
            index=models.Index(fields=["-created_at"], name="version_by_time"),
        ),
        migrations.AddIndex(
            model_name="modelversion",
            index=models.Index(fields=["created_by", "-created_at"], name="version_by_whom"),
        ),
        migrations.AddIndex(
            model_name="modelversion",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["tags"], name="version_by_tag"
            ),
        ),
    ]
