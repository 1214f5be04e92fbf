import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('endpoints', '0010_four_eyes_held'),
        ('registry', '0017_pipelines'),
    ]

    operations = [
        migrations.CreateModel(
            name='RevisionPipeline',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('physical', models.CharField(max_length=100)),
                ('pipeline', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='uses', to='registry.pipelinerevision')),
                ('revision', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='pipelines', to='endpoints.revision')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('revision', 'pipeline'), name='revision_uses_pipeline_once')],
            },
        ),
    ]
