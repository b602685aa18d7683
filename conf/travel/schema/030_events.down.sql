DROP TABLE events.event;
DROP TABLE events.stream;
DROP FUNCTION events.refuse_change();
DROP FUNCTION events.append(text, uuid, integer, text, jsonb, uuid, uuid, text);
DROP FUNCTION events.ensure_partitions(integer);
