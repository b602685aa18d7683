DROP FUNCTION travel.api_key_check(text, bytea);
DROP TABLE credentials.api_key;
