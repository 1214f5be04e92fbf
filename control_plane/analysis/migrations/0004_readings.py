import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analysis', '0003_twins'),
    ]

    operations = [
        migrations.CreateModel(
            name='AnalysisReading',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('metric', models.CharField(max_length=63)),
                ('asked_at', models.DateTimeField(blank=True, null=True)),
                ('answered_at', models.DateTimeField(blank=True, null=True)),
                ('problem', models.TextField(blank=True)),
                ('series', models.JSONField(default=dict)),
                ('totals', models.JSONField(default=dict)),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='readings', to='analysis.analysisrun')),
            ],
        ),
        migrations.AddConstraint(
            model_name='analysisreading',
            constraint=models.UniqueConstraint(fields=('run', 'metric'), name='reading_metric_once'),
        ),
    ]
