DROP INDEX events.event_user_type;
