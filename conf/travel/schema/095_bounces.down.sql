DROP FUNCTION jobs.bounce(text, text, text, text, uuid);
DROP FUNCTION jobs.have_written(text, uuid);
DROP TABLE jobs.bounced;
