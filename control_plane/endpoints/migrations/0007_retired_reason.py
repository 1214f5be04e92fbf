"""A revision that outlived its endpoint keeps why it was made."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("endpoints", "0006_revision_reason")]

    operations = [
        migrations.AddField(
            model_name="retiredrevision",
            name="reason",
            field=models.TextField(blank=True, default=""),
            preserve_default=False,
        ),
    ]
