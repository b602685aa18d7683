-- A page of one's events of one type reads a page, too.  (Those of one aggregate
-- are read by the primary key.)
CREATE INDEX event_user_type ON events.event
    (user_id, type, created_at DESC, position DESC);
