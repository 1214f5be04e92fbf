import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('endpoints', '0013_report_feedback'),
    ]

    operations = [
        migrations.CreateModel(
            name='BudgetAlert',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('long_s', models.PositiveIntegerField()),
                ('severity', models.CharField(choices=[('page', 'page'), ('ticket', 'ticket')], max_length=8)),
                ('burn_long', models.FloatField()),
                ('burn_short', models.FloatField()),
                ('reason', models.TextField()),
                ('since', models.DateTimeField()),
                ('seen_at', models.DateTimeField()),
                ('endpoint', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='budget_alerts', to='endpoints.endpoint')),
            ],
        ),
        migrations.AddConstraint(
            model_name='budgetalert',
            constraint=models.UniqueConstraint(fields=('endpoint', 'long_s'), name='budget_alert_once'),
        ),
    ]
