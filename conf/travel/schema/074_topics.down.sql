DROP TABLE events.publisher;
