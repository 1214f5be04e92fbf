from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fleet", "0003_cores"),
    ]

    operations = [
        migrations.AddField(
            model_name="server",
            name="backends",
            field=models.JSONField(
                blank=True, help_text="what it can run models with; empty: not known", null=True
            ),
        ),
    ]
