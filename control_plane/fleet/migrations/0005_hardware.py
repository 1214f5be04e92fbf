from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fleet", "0004_backends"),
    ]

    operations = [
        migrations.AddField(
            model_name="server",
            name="hardware",
            field=models.CharField(
                blank=True, default="", help_text="the profile of its hardware", max_length=63
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="server",
            name="response_cache",
            field=models.BooleanField(blank=True, help_text="empty: not known", null=True),
        ),
        migrations.AddField(
            model_name="server",
            name="rate_limiter",
            field=models.BooleanField(blank=True, help_text="empty: not known", null=True),
        ),
    ]
