DROP TABLE jobs.own_schedule;
