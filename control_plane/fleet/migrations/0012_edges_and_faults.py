import uuid

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0011_server_changes'),
    ]

    operations = [
        migrations.AddField(
            model_name='server',
            name='not_ready_since',
            field=models.DateTimeField(blank=True, help_text='when its node first said so; empty: it is ready', null=True),
        ),
        migrations.CreateModel(
            name='Edge',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=253, unique=True)),
                ('sight', models.JSONField(default=dict, help_text='as domain.edge.sight has it')),
                ('seen_at', models.DateTimeField(help_text='when its writer saw it last')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'ordering': ('name',),
            },
        ),
    ]
