from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('endpoints', '0016_column_defaults'),
        ('fleet', '0011_server_changes'),
    ]

    operations = [
        migrations.AddField(
            model_name='endpoint',
            name='judged_at_change',
            field=models.BigIntegerField(db_default=-1, default=-1),
        ),
    ]
