-- How clients see an event of theirs, said once for all lists of them.
CREATE OR REPLACE VIEW travel.user_events AS
    SELECT user_id, created_at AS at, position AS pos, stream_type, stream_id,
           version, type, data,
           json_build_object('id', position, 'type', type,
                             'aggregate', stream_type,
                             'aggregate_id', stream_id, 'version', version,
                             'data', data,
                             'created_at', travel.rfc3339(created_at)) AS item
      FROM events.event WHERE user_id IS NOT NULL;
