"""A revision knows why it was made."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("endpoints", "0005_revisions_that_served")]

    operations = [
        migrations.AddField(
            model_name="revision",
            name="reason",
            field=models.TextField(
                blank=True, default="", help_text="why, in the words of whoever made it"
            ),
            preserve_default=False,
        ),
    ]
