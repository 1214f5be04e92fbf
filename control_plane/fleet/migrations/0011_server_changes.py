from django.db import migrations, models


# Changes are numbered in the order in which they are committed: who counts holds the one row.
NAME_THE_SERVER = """
CREATE OR REPLACE FUNCTION fleet_count_change() RETURNS trigger AS $$
DECLARE
  counted bigint;
  changed text;
BEGIN
  IF TG_OP = 'DELETE' THEN changed := OLD.name; ELSE changed := NEW.name; END IF;
  INSERT INTO fleet_fleetchange (id, number) VALUES (1, 1)
  ON CONFLICT (id) DO UPDATE SET number = fleet_fleetchange.number + 1
  RETURNING number INTO counted;
  INSERT INTO fleet_serverchange (number, server) VALUES (counted, changed)
  ON CONFLICT (number) DO UPDATE SET server = EXCLUDED.server;
  DELETE FROM fleet_serverchange WHERE number <= counted - 1000;
  RETURN NULL;
END
$$ LANGUAGE plpgsql;
"""

COUNT_ALONE = """
CREATE OR REPLACE FUNCTION fleet_count_change() RETURNS trigger AS $$
BEGIN
  INSERT INTO fleet_fleetchange (id, number) VALUES (1, 1)
  ON CONFLICT (id) DO UPDATE SET number = fleet_fleetchange.number + 1;
  RETURN NULL;
END
$$ LANGUAGE plpgsql;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0010_gate'),
    ]

    operations = [
        migrations.CreateModel(
            name='ServerChange',
            fields=[
                ('number', models.PositiveBigIntegerField(primary_key=True, serialize=False)),
                ('server', models.CharField(max_length=63)),
            ],
        ),
        migrations.RunSQL(NAME_THE_SERVER, COUNT_ALONE),
    ]
