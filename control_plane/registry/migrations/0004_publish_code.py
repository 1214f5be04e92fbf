from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("registry", "0003_aliases")]

    operations = [
        migrations.AlterModelOptions(
            name="modelversion",
            options={
                "ordering": ("model__name", "-number"),
                "permissions": (("publish_code", "Can publish versions that carry code"),),
            },
        ),
    ]
