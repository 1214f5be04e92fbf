from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0009_column_defaults'),
    ]

    operations = [
        migrations.AddField(
            model_name='server',
            name='gate',
            field=models.CharField(blank=True, db_default='', default='', help_text="host:port of its node's", max_length=255),
        ),
    ]
