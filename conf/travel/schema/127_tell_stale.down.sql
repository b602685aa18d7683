DROP FUNCTION jobs.tell_stale(text[]);
