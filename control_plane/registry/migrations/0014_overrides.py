from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0013_profiles"),
    ]

    operations = [
        migrations.AddField(
            model_name="modelversion",
            name="overrides",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text="laid over its serving profile, in the same words",
            ),
        ),
    ]
