from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fleet", "0005_hardware"),
    ]

    operations = [
        migrations.AddField(
            model_name="server",
            name="lab",
            field=models.BooleanField(
                default=False, help_text="may be put under load: it serves nothing that matters"
            ),
        ),
    ]
