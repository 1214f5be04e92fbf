import django.db.models.deletion
from django.db import migrations, models


# What placements look at. Whoever changes it, the endpoints are looked at again: heartbeats,
# which say most of it every two seconds, count only when something differs.
COUNT = """
CREATE FUNCTION fleet_count_change() RETURNS trigger AS $$
BEGIN
  INSERT INTO fleet_fleetchange (id, number) VALUES (1, 1)
  ON CONFLICT (id) DO UPDATE SET number = fleet_fleetchange.number + 1;
  RETURN NULL;
END
$$ LANGUAGE plpgsql;

CREATE TRIGGER fleet_server_came_or_went AFTER INSERT OR DELETE ON fleet_server
FOR EACH ROW EXECUTE FUNCTION fleet_count_change();

CREATE TRIGGER fleet_server_changed AFTER UPDATE ON fleet_server
FOR EACH ROW WHEN (
  (OLD.node_labels, OLD.set_labels, OLD.accelerator, OLD.hardware, OLD.lab, OLD.backends,
   OLD.triton_version, OLD.memory_limit, OLD.gpu_memory_limit, OLD.cordoned_at IS NULL,
   OLD.draining, OLD.lost_at IS NULL)
  IS DISTINCT FROM
  (NEW.node_labels, NEW.set_labels, NEW.accelerator, NEW.hardware, NEW.lab, NEW.backends,
   NEW.triton_version, NEW.memory_limit, NEW.gpu_memory_limit, NEW.cordoned_at IS NULL,
   NEW.draining, NEW.lost_at IS NULL))
EXECUTE FUNCTION fleet_count_change();
"""

FORGET = """
DROP TRIGGER fleet_server_changed ON fleet_server;
DROP TRIGGER fleet_server_came_or_went ON fleet_server;
DROP FUNCTION fleet_count_change();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0007_drift'),
    ]

    operations = [
        migrations.CreateModel(
            name='FleetChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveBigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name='ModelMemory',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('model', models.CharField(db_index=True, max_length=100)),
                ('host', models.PositiveBigIntegerField()),
                ('gpu', models.PositiveBigIntegerField(default=0)),
                ('measured_at', models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name='server',
            name='cordon_reason',
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name='server',
            name='cordoned_at',
            field=models.DateTimeField(blank=True, help_text='since when nothing new is placed there', null=True),
        ),
        migrations.AddField(
            model_name='server',
            name='cordoned_by',
            field=models.CharField(blank=True, max_length=150),
        ),
        migrations.AddField(
            model_name='server',
            name='devices',
            field=models.JSONField(blank=True, help_text='its GPUs, each with name and memory; empty: not known', null=True),
        ),
        migrations.AddField(
            model_name='server',
            name='draining',
            field=models.BooleanField(default=False, help_text='what it holds moves elsewhere'),
        ),
        migrations.AddField(
            model_name='server',
            name='gpu_memory_limit',
            field=models.PositiveBigIntegerField(blank=True, help_text='bytes of all of its GPUs; empty: not known', null=True),
        ),
        migrations.AddField(
            model_name='server',
            name='gpu_memory_used',
            field=models.PositiveBigIntegerField(blank=True, help_text='bytes in use on its GPUs; empty: not known', null=True),
        ),
        migrations.AddField(
            model_name='server',
            name='memory_limit',
            field=models.PositiveBigIntegerField(blank=True, help_text='bytes that its Triton may take; empty: not known', null=True),
        ),
        migrations.AddField(
            model_name='server',
            name='memory_used',
            field=models.PositiveBigIntegerField(blank=True, help_text='bytes that its Triton takes; empty: not known', null=True),
        ),
        migrations.AddField(
            model_name='server',
            name='node_labels',
            field=models.JSONField(blank=True, default=dict, help_text='what its node says of it'),
        ),
        migrations.AddField(
            model_name='server',
            name='set_labels',
            field=models.JSONField(blank=True, default=dict, help_text='what people say of it'),
        ),
        migrations.AddConstraint(
            model_name='server',
            constraint=models.CheckConstraint(condition=models.Q(('draining', False), ('cordoned_at__isnull', False), _connector='OR'), name='server_draining_is_cordoned'),
        ),
        migrations.AddConstraint(
            model_name='server',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('cordoned_at', None), ('cordoned_by', '')), models.Q(('cordoned_at__isnull', False), models.Q(('cordoned_by', ''), _negated=True)), _connector='OR'), name='server_cordoned_by_somebody'),
        ),
        migrations.AddConstraint(
            model_name='fleetchange',
            constraint=models.CheckConstraint(condition=models.Q(('id', 1)), name='fleet_change_is_one'),
        ),
        migrations.AddField(
            model_name='modelmemory',
            name='server',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='measured', to='fleet.server'),
        ),
        migrations.AddConstraint(
            model_name='modelmemory',
            constraint=models.UniqueConstraint(fields=('server', 'model'), name='model_memory_once'),
        ),
        migrations.RunSQL(COUNT, FORGET),
    ]
