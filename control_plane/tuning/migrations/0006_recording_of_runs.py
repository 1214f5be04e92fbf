import django.db.models.deletion
from django.db import migrations, models


def _sent(related: str) -> models.ForeignKey:
    return models.ForeignKey(
        blank=True,
        null=True,
        on_delete=django.db.models.deletion.SET_NULL,
        related_name=related,
        to='tuning.recording',
    )


class Migration(migrations.Migration):

    dependencies = [
        ('tuning', '0005_recordings'),
    ]

    operations = [
        migrations.AddField('perfrun', 'recording', _sent('perf_runs')),
        migrations.AddField('tune', 'recording', _sent('tunes')),
    ]
