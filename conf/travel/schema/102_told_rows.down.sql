DROP TRIGGER tell_gone ON travel.devices;
DROP FUNCTION events.tell_device_gone();
DROP TRIGGER must_tell ON travel.devices;
DROP TRIGGER must_tell ON travel.itineraries;
DROP TRIGGER must_tell ON travel.survey_responses;
DROP FUNCTION events.must_tell_of();
