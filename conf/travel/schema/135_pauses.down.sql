DROP FUNCTION jobs.resume(text);
DROP FUNCTION jobs.pause(text, text, text);
DROP TABLE jobs.paused;
