DROP FUNCTION events.changed(xid8, xid8, text);
