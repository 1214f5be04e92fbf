from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tuning', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='perfrun',
            name='accepted_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='perfrun',
            name='accepted_by',
            field=models.CharField(blank=True, max_length=150),
        ),
        migrations.AddConstraint(
            model_name='perfrun',
            constraint=models.CheckConstraint(
                condition=models.Q(accepted_at=None) | models.Q(kind='version', state='succeeded'),
                name='perf_run_accepted_succeeded',
            ),
        ),
    ]
