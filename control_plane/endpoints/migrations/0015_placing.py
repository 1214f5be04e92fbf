from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('endpoints', '0014_budget_alerts'),
        ('fleet', '0008_placing'),
    ]

    operations = [
        migrations.AddField(
            model_name='endpoint',
            name='placed_at_change',
            field=models.BigIntegerField(default=-1),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='placement',
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='placing',
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='placement',
            name='assigned',
            field=models.BooleanField(default=True),
        ),
        migrations.AddField(
            model_name='placement',
            name='leaving_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddConstraint(
            model_name='placement',
            constraint=models.CheckConstraint(condition=models.Q(('assigned', False), ('leaving_at', None), _connector='OR'), name='placement_leaving_goes'),
        ),
    ]
