DROP FUNCTION travel.places_along(double precision, double precision,
    double precision, double precision, double precision, integer);
DROP FUNCTION travel.places_near(double precision, double precision,
    double precision, integer);
DROP FUNCTION travel.search_places(text, integer);
DROP FUNCTION travel.resolve_place(text);
DROP FUNCTION travel.is_country(text, text);
DROP TABLE travel.attraction, travel.airport, travel.place, travel.region,
    travel.country, travel.dataset;
DROP FUNCTION travel.position(double precision, double precision);
DROP FUNCTION travel.chord_km(double precision);
DROP FUNCTION travel.distance_km(double precision, double precision,
    double precision, double precision);
DROP FUNCTION travel.fold(text);
