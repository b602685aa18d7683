DROP TRIGGER tell_key ON credentials.api_key;
DROP FUNCTION credentials.tell_key();
DROP FUNCTION credentials.key_stream(text);
DELETE FROM events.type WHERE stream_type = 'key';
